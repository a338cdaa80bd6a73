"""Steps that look at lines and characters."""

import base64

from hypothesis import given
from hypothesis import strategies as st

import small
from quipu.data.documents import Document
from quipu.data.steps.shape import DataLike, LongLines, Minified, TooShort, shape

CODE = small.source(3) * 4


def reason(step, text, path="a.py", language="python"):
    return step(Document(id=path, path=path, language=language, text=text))


@given(st.text(st.sampled_from("aZ09 \n\té漢🦙+=_"), max_size=300))
def test_counts_are_those_of_characters(text):
    found = shape(text)
    lines = [line for line in text.split("\n") if line]
    assert found.characters == len(text)
    assert found.lines == len(lines)
    assert found.longest == max(map(len, lines), default=0)
    assert found.mean == (sum(map(len, lines)) / len(lines) if lines else 0)
    assert found.white == sum(c in " \n\t" for c in text)
    assert found.digits == sum(c in "09" for c in text)
    assert found.letters == sum(c in "aZé漢🦙" for c in text)


def test_ordinary_code_passes_every_step():
    for step in (TooShort(), LongLines(), Minified(), DataLike()):
        assert reason(step, CODE) is None


def test_hardly_anything_is_too_short():
    assert reason(TooShort(), "x = 1\n") == "too short: fewer than 100 characters"
    assert reason(TooShort(), "x" * 200) == "too short: fewer than 3 lines"


def test_one_long_line_drops_code_and_not_prose():
    text = CODE + "# " + "word " * 300 + "\n"
    assert reason(LongLines(), text) == "long lines: one beyond 1000"
    assert reason(LongLines(), text, "README.md", "markdown") is None


def test_long_lines_throughout_drop_code():
    assert reason(LongLines(), ("x = " + "a + " * 30 + "1\n") * 50) == "long lines: mean beyond 100"


def test_minified_scripts_are_known_by_name_and_by_white_space():
    script = "function a(b,c){return b+c}var d=a(1,2);" * 50
    assert reason(Minified(), CODE, "jquery.min.js", "javascript") == "minified: file name"
    assert reason(Minified(), script, "a.js", "javascript").startswith("minified: ")
    assert reason(Minified(), script, "a.py") == "minified: long lines, little white space"
    assert reason(Minified(), CODE, "a.js", "javascript") is None


def test_tables_of_numbers_are_data():
    table = "T = (\n" + "    0x01, 0x02, 0xff, 17, 23, 45,\n" * 50 + ")\n"
    assert reason(DataLike(), table) == "data-like: few letters"
    many = CODE + "values = [" + "1234567890, " * 80 + "]\n"
    assert reason(DataLike(), many) == "data-like: many digits"


def test_encoded_bytes_are_data_and_banners_are_not():
    encoded = base64.encodebytes(bytes(range(256)) * 8).decode()
    assert reason(DataLike(), CODE + f'ICON = """{encoded}"""\n') == "data-like: encoded bytes"
    assert reason(DataLike(), ("//" + "/" * 76 + "\n" + CODE) * 3, "a.cpp", "cpp") is None


def test_a_file_of_literals_is_data_and_a_table_within_code_is_not():
    entries = "".join(f'    "{w}": "{w[::-1]}",\n' for w in ("alpha", "beta", "gamma") * 60)
    assert reason(DataLike(), "NAMES = {\n" + entries + "}\n") == "data-like: literals"
    assert reason(DataLike(), CODE * 20 + "NAMES = {\n" + entries + "}\n") is None
