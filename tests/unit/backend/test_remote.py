"""A remote server's ways: what is sent, what is understood, and what is said when it fails."""

import contextlib
import json
import socket
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest

from conformance import openai_server
from conformance.vocabulary import model_file, tokenizer
from quipu.backend.connection import parse_server
from quipu.backend.open import open_backend
from quipu.backend.remote import _Exchange
from quipu.errors import BackendError, UsageError
from quipu.request import Request, Sampling

EOS = 2
MODELS = {"data": [{"id": "codellama-instruct", "max_model_len": 300}]}


@pytest.fixture
def tokenizer_file(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(model_file())
    return tmp_path / "tokenizer.model"


@pytest.fixture
def canned(tokenizer_file):
    """Open a backend on a server that answers each POST with the next of some canned replies."""
    with contextlib.ExitStack() as stack:

        def open_canned(*replies, models=MODELS, **options):
            handler = handler_of(list(replies), models)
            address = stack.enter_context(openai_server.run(handler))
            backend = open_backend(address, tokenizer=tokenizer_file, **options)
            stack.callback(backend.close)
            return backend, handler.seen

        yield open_canned


def handler_of(replies, models):
    posts = []  # (headers, body) of each

    class Handler(BaseHTTPRequestHandler):
        seen = posts

        def log_message(self, *_):
            pass

        def do_GET(self):
            openai_server.reply(self, models)

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.seen.append((dict(self.headers), body))
            replies.pop(0)(self)

    return Handler


def events(*data, done=True, pause=None):
    """A reply of server-sent events; `pause` waits before the end."""

    def send(handler):
        handler.send_response(200)
        handler.end_headers()
        for value in data:
            text = value if isinstance(value, str) else json.dumps(value)
            handler.wfile.write(f"data: {text}\n\n".encode())
        if pause is not None:
            pause(handler)
        if done:
            handler.wfile.write(b": comment\n\ndata: [DONE]\n\n")

    return send


def status(code, value):
    return lambda handler: openai_server.reply(handler, value, code)


def choice(text="", finish_reason=None, **fields):
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish_reason, **fields}]}


def ask(**fields):
    return Request(**{"prompt": (1, 300), "stop_ids": (EOS,), **fields})


def ids_of(text):
    return tokenizer().encode(text, dummy_prefix=False)


def text_of(pieces):
    return "".join(piece.text for piece in pieces)


def test_the_prompt_travels_as_ids_with_every_option(canned):
    backend, seen = canned(events(choice("x", "length")), api_key="secret")
    sampling = Sampling(
        max_tokens=1000,
        temperature=0.5,
        top_k=7,
        seed=3,
        stop=("\n",),
        logit_bias={5: -1.5},
        repetition_penalty=1.1,
    )
    list(backend.submit(ask(sampling=sampling, stop_ids=(EOS, 7))))
    headers, body = seen[0]
    assert headers["Authorization"] == "Bearer secret"
    expected = {
        "model": "codellama-instruct",
        "prompt": [1, 300],
        "max_tokens": 298,  # what fits the context
        "temperature": 0.5,
        "top_p": 1.0,
        "top_k": 7,
        "min_p": 0.0,
        "repetition_penalty": 1.1,
        "seed": 3,
        "stop": ["\n"],
        "logit_bias": {"5": -1.5},
        "stop_token_ids": [7],
        "return_token_ids": True,
    }
    assert expected.items() <= body.items()
    assert "ignore_eos" not in body


def test_generation_past_the_end_token_is_asked_for_when_it_is_no_stop_id(canned):
    backend, seen = canned(events(choice("x", "length")))
    list(backend.submit(ask(stop_ids=())))
    assert seen[0][1]["ignore_eos"] is True


def test_text_is_made_from_ids_when_the_server_gives_them(canned):
    ids = ids_of("é🦙 x")
    replies = [choice("garbled", token_ids=[token]) for token in ids] + [choice("", "stop")]
    backend, _ = canned(events(*replies))
    pieces = list(backend.submit(ask()))
    assert text_of(pieces) == "é🦙 x"
    assert [token for piece in pieces for token in piece.token_ids] == ids


def test_the_stop_id_that_vllm_includes_is_left_out(canned):
    ids = ids_of("ab")
    backend, _ = canned(events(choice("ab", "stop", token_ids=[*ids, EOS])))
    pieces = list(backend.submit(ask()))
    assert [token for piece in pieces for token in piece.token_ids] == ids
    assert pieces[-1].finish_reason == "stop"


def test_text_beside_ids_is_never_shown_twice(canned):
    replies = choice("a", token_ids=ids_of("ab")), choice("b", "stop")
    backend, _ = canned(events(*replies))
    assert text_of(backend.submit(ask())) == "ab"


def test_an_event_may_have_several_lines_and_other_fields(canned):
    def send(handler):
        first, second = json.dumps(choice("x", "stop")).split(" ", 1)
        handler.send_response(200)
        handler.end_headers()
        text = f"event: message\r\ndata:{first}\r\nid: 1\r\n: keep-alive\r\ndata: {second}\r\n\r\n"
        handler.wfile.write(f"{text}data: [DONE]\n\n".encode())

    backend, _ = canned(send)
    assert text_of(backend.submit(ask())) == "x"


def test_text_without_ids_is_encoded_as_a_continuation(canned):
    backend, _ = canned(events(choice(" re"), choice("turn"), choice("", "stop")))
    pieces = list(backend.submit(ask(drop_space=True)))
    assert text_of(pieces) == "return"
    assert [piece.token_ids for piece in pieces[:2]] == [tuple(ids_of("re")), tuple(ids_of("turn"))]


def test_ids_may_come_from_logprobs_alone(canned):
    a, b = ids_of("a")[0], ids_of("b")[0]
    legacy = {
        "tokens": [f"token_id:{a}"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{f"token_id:{b}": -1.0, f"token_id:{a}": -0.5}],
    }
    chat_like = {
        "content": [
            {"id": b, "token": "?", "logprob": -2.0, "top_logprobs": [{"id": a, "logprob": -0.1}]}
        ]
    }
    backend, _ = canned(
        events(choice("a", logprobs=legacy), choice("b", "length", logprobs=chat_like))
    )
    pieces = list(backend.submit(ask(sampling=Sampling(logprobs=2))))
    assert text_of(pieces) == "ab"
    logprobs = [logprob for piece in pieces for logprob in piece.logprobs]
    assert [(p.token_id, p.logprob, p.top) for p in logprobs] == [
        (a, -0.5, ((a, -0.5), (b, -1.0))),
        (b, -2.0, ((a, -0.1),)),
    ]


def test_spelled_tokens_count_when_they_are_one_token(canned):
    spelled = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5, "zqz": -3}]}
    backend, _ = canned(events(choice("a", "stop", logprobs=spelled)))
    (piece, _) = backend.submit(ask(sampling=Sampling(logprobs=2)))
    assert piece.token_ids == tuple(ids_of("a"))
    assert piece.logprobs[0].top == ((ids_of("a")[0], -0.5),)


def test_a_chosen_token_without_an_id_is_an_error(canned):
    spelled = {"tokens": ["zqz"], "token_logprobs": [-0.5]}
    backend, _ = canned(events(choice("zqz", "stop", logprobs=spelled)))
    with pytest.raises(BackendError, match="no single id; got 'zqz'"):
        list(backend.submit(ask(sampling=Sampling(logprobs=0))))


def test_cached_tokens_come_from_the_usage(canned):
    usage = {"choices": [], "usage": {"prompt_tokens_details": {"cached_tokens": 16}}}
    backend, _ = canned(events(choice("x", "stop"), usage))
    assert list(backend.submit(ask()))[-1].cached_tokens == 16


def test_a_strict_server_is_asked_again_in_openais_fields_alone(canned):
    refusal = status(400, {"error": {"message": "unknown field return_token_ids"}})
    backend, seen = canned(refusal, events(choice("x", "stop")))
    assert text_of(backend.submit(ask())) == "x"
    assert not seen[1][1].keys() & {"return_token_ids", "top_k", "min_p", "repetition_penalty"}


def test_a_strict_server_gets_four_stop_strings_and_all_end_the_answer(canned):
    refusal = status(400, {"error": {"message": "too many stop strings"}})
    backend, seen = canned(refusal, events(choice("x"), choice("Fy")))
    assert text_of(backend.submit(ask(sampling=Sampling(stop=tuple("ABCDEF"))))) == "x"
    assert [body["stop"] for _, body in seen] == [list("ABCDEF"), list("ABCD")]


def test_what_a_server_refuses_is_said_in_its_words(canned):
    refusal = status(400, {"error": {"message": "temperature too hot"}})
    backend, _ = canned(refusal, refusal)
    with pytest.raises(BackendError, match="refuses /completions; got status 400, temperature too"):
        list(backend.submit(ask()))


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (events("{nonsense"), "not the OpenAI protocol"),
        (events('["a"]'), "not the OpenAI protocol"),
        (events({"answer": 1}), "not the OpenAI protocol"),
        (events({"choices": [{"index": 9, "text": "x"}]}), "not the OpenAI protocol"),
        (events(choice("x", token_ids=[10**6])), "not the OpenAI protocol"),
        (events(choice(7)), "not the OpenAI protocol"),
        (events(choice("x", "content_filter")), "for a reason of its own; got content_filter"),
        (events({"error": {"message": "out of memory"}}), "failed; got .*out of memory"),
        (events(choice("x")), "hung up before the answer was complete"),
        (events(choice("x"), done=False), "hung up before the answer was complete"),
        (status(500, {"detail": "oops"}), "status 500, oops"),
        (status(401, {"error": "no"}), "refuses the API key; .*give an API key"),
        (lambda handler: handler.wfile.write(b"SSH-2.0\r\n"), "broke; got BadStatusLine"),
    ],
)
def test_a_server_that_fails_is_an_error_and_never_a_hang(canned, reply, message):
    backend, _ = canned(reply)
    with pytest.raises(BackendError, match=message):
        list(backend.submit(ask()))


def test_a_connection_that_is_reset_in_the_middle_is_an_error(canned):
    def reset(handler):
        linger = b"\x01\0\0\0\0\0\0\0"
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()

    backend, _ = canned(events(choice("x"), done=False, pause=reset))
    with pytest.raises(BackendError, match=r"broke|hung up"):
        list(backend.submit(ask()))


def test_a_cancel_hangs_up_on_the_server(canned):
    hung_up = threading.Event()

    def wait(handler):
        with contextlib.suppress(OSError):
            handler.connection.recv(1)  # returns when the client is gone
        hung_up.set()

    backend, _ = canned(events(choice("x"), pause=wait, done=False))
    stream = backend.submit(ask())
    assert next(iter(stream)).text == "x"
    stream.cancel()
    assert [piece.finish_reason for piece in stream] == ["cancelled"]
    assert hung_up.wait(5)


def test_a_cancel_works_before_the_server_has_answered(canned):
    release = threading.Event()
    backend, seen = canned(lambda _: release.wait(10))
    stream = backend.submit(ask())
    while not seen:
        time.sleep(0.001)
    begun = time.monotonic()
    stream.cancel()
    assert [piece.finish_reason for piece in stream] == ["cancelled"]
    assert time.monotonic() - begun < 5
    release.set()


def test_a_cancel_before_the_call_was_made_is_not_forgotten():
    release = threading.Event()
    with openai_server.run(handler_of([lambda _: release.wait(10)], MODELS)) as address:
        server = parse_server(address, None)
        exchange = _Exchange(server, "m", ask(), tokenizer(), room=9)
        exchange.cancel()
        begun = time.monotonic()
        exchange.start()
        assert [piece.finish_reason for piece in exchange.stream] == ["cancelled"]
        assert time.monotonic() - begun < 5
        release.set()


def test_a_stop_string_found_here_hangs_up(canned):
    def wait(handler):
        with contextlib.suppress(OSError):
            handler.connection.recv(1)

    ids = ids_of("a\nb")
    backend, _ = canned(events(choice("a", token_ids=ids), pause=wait, done=False))
    pieces = list(backend.submit(ask(sampling=Sampling(stop=("\n",)))))
    assert text_of(pieces) == "a"
    assert pieces[-1].finish_reason == "stop"


def test_a_server_without_prompt_logprobs_cannot_score(canned):
    backend, _ = canned(status(200, {"choices": [{"text": "ab"}]}))
    with pytest.raises(BackendError, match="does not score prompts"):
        backend.score([1, 300, 301])


@pytest.mark.parametrize(("ids", "generated"), [([1, 300, 301], 1), ([1] * 300, 0)])
def test_scoring_generates_a_token_only_where_one_fits(canned, ids, generated):
    logprobs = {"tokens": [], "token_logprobs": [None, *[-1.0] * (len(ids) - 1)]}
    backend, seen = canned(status(200, {"choices": [{"text": "", "logprobs": logprobs}]}))
    assert backend.score(ids).shape == (len(ids) - 1,)
    assert seen[0][1]["max_tokens"] == generated


def test_scores_of_another_prompt_are_not_taken(canned):
    logprobs = {"tokens": ["token_id:1", "token_id:9"], "token_logprobs": [None, -1.0]}
    backend, _ = canned(status(200, {"choices": [{"text": "", "logprobs": logprobs}]}))
    with pytest.raises(BackendError, match="scored token_id:9 in place of 300"):
        backend.score([1, 300])


def test_a_server_gives_no_logits(canned):
    backend, _ = canned()
    with pytest.raises(BackendError, match="no logits"):
        backend.logits([1, 2])


def test_abilities_are_those_of_the_tokenizer_and_the_name(canned):
    backend, _ = canned()
    assert backend.info.abilities.infill
    assert backend.info.abilities.chat == "inst"
    assert not backend.info.heals


def test_a_model_is_found_by_name_or_by_being_the_only_one(tokenizer_file):
    two = {"data": [{"id": "a", "max_model_len": 9}, {"id": "b"}]}
    with openai_server.run(handler_of([], two)) as address:
        backend = open_backend(f"{address}#a", tokenizer=tokenizer_file)
        assert (backend.info.name, backend.info.context) == ("a", 9)
        for wrong in ("", "#c"):
            with pytest.raises(BackendError, match=r"no model of that name.*allowed: a, b"):
                open_backend(f"{address}{wrong}", tokenizer=tokenizer_file)


def test_a_context_that_the_server_does_not_say_must_be_given(canned):
    unsaid = {"data": [{"id": "a"}]}
    with pytest.raises(BackendError, match="give the context"):
        canned(models=unsaid)
    backend, _ = canned(models=unsaid, context=77)
    assert backend.info.context == 77


def test_a_server_that_is_not_there_is_named(tokenizer_file):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(BackendError, match=f"http://127.0.0.1:{port}/v1 cannot be reached"):
        open_backend(f"http://127.0.0.1:{port}/v1#m", tokenizer=tokenizer_file)


@pytest.mark.parametrize(
    "address", ["http://", "http://host:x/v1", "http://h/v1 2", "http://h?a=b"]
)
def test_an_address_that_is_none_is_refused(address, tokenizer_file):
    with pytest.raises(UsageError, match="server address"):
        open_backend(address, tokenizer=tokenizer_file)


def test_an_api_key_must_fit_a_header(tokenizer_file):
    with pytest.raises(UsageError, match="API key"):
        open_backend("http://h/v1", tokenizer=tokenizer_file, api_key="a\nb")


def test_forced_bytes_are_refused(canned):
    backend, _ = canned()
    with pytest.raises(UsageError, match="heal"):
        backend.submit(replace(ask(), forced=b"x"))
