"""Notebooks as scripts."""

import ast
import json

import pytest

from quipu.data.sources.notebooks import NotANotebook, script
from quipu.data.sources.packages import Skipped
from quipu.data.sources.reader import read
from unit.data.sources.archives import archive_of, zipped


def notebook(*cells, **more):
    return json.dumps({"cells": [{"cell_type": k, "source": s} for k, s in cells], **more})


def test_code_stays_prose_becomes_comments_and_magics_are_commented_out():
    text = notebook(
        ("markdown", ["# Title\n", "\n", "Words."]),
        ("code", ["%matplotlib inline\n", "import os\n", "if os:\n", "    !ls\n", "os?\n"]),
        ("raw", "<b>"),
        ("code", "%%bash\necho 1"),
        ("code", ""),
    )
    found = script(text)
    assert found == (
        "# # Title\n#\n# Words.\n\n"
        "# %matplotlib inline\nimport os\nif os:\n    # !ls\n# os?\n\n"
        "# <b>\n\n# %%bash\n# echo 1\n"
    )


def test_a_remainder_and_an_inequality_at_the_end_of_a_line_are_no_magics():
    text = notebook(("code", "a = 7 % 3\nb = a != 2\n# why?\nc = (7\n     % 3)"))
    assert ast.dump(ast.parse(script(text))) == ast.dump(
        ast.parse("a = 7 % 3\nb = a != 2\nc = 7 % 3")
    )


def test_cells_of_the_third_format_are_read_too():
    cells = [{"cell_type": "code", "input": ["a = 1\n"], "language": "python"}]
    assert script(json.dumps({"worksheets": [{"cells": cells}]})) == "a = 1\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "bad JSON"),
        ("[" * 100_000, "bad JSON"),
        ("[1]", "no cells"),
        ('{"cells": 1}', "no cells"),
        (notebook(metadata={"kernelspec": {"language": "R"}}), "not in Python"),
    ],
)
def test_what_is_no_python_notebook_is_skipped_with_its_reason(tmp_path, text, reason):
    with pytest.raises(NotANotebook, match=reason):
        script(text)
    path = zipped(tmp_path / "x.whl", {"a.ipynb": text.encode()})
    assert list(read(archive_of(path), tmp_path)) == [
        Skipped(path="a.ipynb", reason=f"notebook: {reason}", bytes=len(text))
    ]


@pytest.mark.parametrize("cells", [[1], [{"source": 1}], [{"source": [1, None]}], [{}]])
def test_cells_that_are_none_are_passed_over(cells):
    assert script(json.dumps({"cells": cells})) == "\n"
