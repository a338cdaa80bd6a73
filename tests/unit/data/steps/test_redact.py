"""Secrets and personal data go; what only looks like them stays."""

import ast
import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quipu.data.documents import Document
from quipu.data.steps.redact import Redact
from quipu.data.steps.secrets import entropy

DRAW = random.Random(4)
SECONDS = 3.0  # for a megabyte, on a busy machine; quadratic time would take hours


def drawn(length, letters=string.ascii_letters + string.digits):
    return "".join(DRAW.choices(letters, k=length))


def redacted(text, language="text"):
    return Redact()(Document(id="a", language=language, text=text)).text


AWS = "AKIA" + drawn(16, string.ascii_uppercase)
GITHUB = "ghp_" + drawn(36)
RANDOM = "k3J8" + drawn(24) + "9z"
JWT = f"eyJ{drawn(30)}.eyJ{drawn(60)}.{drawn(40)}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f'key = "{AWS}"', 'key = "<KEY>"'),
        (f"push with {GITHUB} now", "push with <KEY> now"),
        (f"Bearer {JWT}", "Bearer <KEY>"),
        (f'api_key = "{RANDOM}"', 'api_key = "<KEY>"'),
        (f'"client_secret": "{RANDOM}"', '"client_secret": "<KEY>"'),
        (f"PASSWORD = '{RANDOM}'", "PASSWORD = '<PASSWORD>'"),
        ("postgres://bob:s3cr3Tx9@db.corp.net/x", "postgres://bob:<PASSWORD>@db.corp.net/x"),
        ("Written by Ann Lee <ann.lee@umich.edu>.", "Written by Ann Lee <<EMAIL>>."),
        ("server at 93.184.216.34 port 80", "server at <IP> port 80"),
        ("Phone: +44 20 7946 0991", "Phone: <PHONE>"),
    ],
)
def test_what_is_secret_or_personal_is_replaced(text, wanted):
    assert redacted(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "mail user@example.com or x@example.org, root@localhost",
        "decorator @app.route and a@b.T and @angular/core",
        "version 101.12.13.140 of it, update V8 to 11.3.244.8",
        "http://127.0.0.1:80 and 192.168.1.200 and 10.0.0.255 and 203.0.113.7 and 0.0.0.0",
        "8.8.8.8 and section 8.2.4.44",
        'sha = "d41d8cd98f00b204e9800998ecf8427e"',
        f'token = "{"0123456789abcdef" * 4}"',
        'secret_key = "123e4567-e89b-12d3-a456-426614174000"',
        'password = "test_password_example_1"',
        'token = "AKIAIOSFODNN7EXAMPLE"',
        'api_key = os.environ["API_KEY"]',
        'token_url = "oauth2/v1/access_token1"',
        "http://user:pass@sub.corp.net http://org:repository@sha/x https://a:pa55word@b.example.com/",
        "123.123.123.123 and 222.111.111.222 and 193.0.0.128/25",
        "https://user:password@host.com/ and http://user:${PASS}@host.com",
        'name = "' + RANDOM + '"',
        "call 12345678901 or 555-1234",
    ],
)
def test_what_only_looks_like_it_stays(text):
    assert redacted(text) == text


def test_a_private_key_keeps_only_its_frame():
    body = "\n".join(drawn(64) for _ in range(20))
    text = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n"
    wanted = "-----BEGIN RSA PRIVATE KEY-----\n<KEY>\n-----END RSA PRIVATE KEY-----\n"
    assert redacted(text) == wanted


SNIPPETS = (
    *("ann@umich.edu", "a@b.com", "93.184.216.34", AWS, GITHUB, f'token="{RANDOM}"', "Phone: "),
    *("http://u:p4ssw0rdz@h.de", "x", " ", "\n", "'", '"', "@", ".", ":", "=", "+44 20 7946 0991"),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "A1" * 60, "<KEY>", "password"),
)


@given(st.lists(st.sampled_from(SNIPPETS), max_size=12).map("".join))
def test_redacting_twice_changes_nothing_more(text):
    once = redacted(text)
    assert redacted(once) == once


def test_python_still_parses():
    text = (
        f'x = "ann@umich.edu"  # bob@umich.edu\nq = w@tensor.co\nkey = {{"token": "{RANDOM}"}}\n'
        f'url = f"http://u:p4ssw0rdz@h.de/{{x}}"\nb = b"{AWS}"\n'
    )
    changed = redacted(text, "python")
    ast.parse(changed)
    assert "w@tensor.co" in changed
    assert "umich" not in changed
    assert AWS not in changed
    assert RANDOM not in changed


def test_each_half_can_be_left_out():
    document = Document(id="a", language="text", text=f"ann@umich.edu {AWS}")
    assert Redact(secrets=False)(document).text == f"<EMAIL> {AWS}"
    assert Redact(personal=False)(document).text == "ann@umich.edu <KEY>"


@pytest.mark.parametrize(
    "part",
    [
        *("a", "1", "a@", "a.", "1.", "@a.", "eyJ", "eyJa.", "token='", "='a1", "-----BEGIN ", "("),
        *(
            "-----BEGIN PRIVATE KEY-----",
            "://a:",
            "sk-",
            "+1 ",
            "phone: 1",
            "phone:",
            "tel",
            "a.b@c.d.",
        ),
    ],
)
def test_time_is_linear_on_adversarial_lines(part):
    text = part * (1_000_000 // len(part))
    started = time.perf_counter()
    redacted(text)
    assert time.perf_counter() - started < SECONDS


def test_entropy_is_that_of_the_frequencies():
    assert entropy("aaaa") == 0
    assert entropy("abcd" * 5) == 2
