"""Documented, typed, short and well named ranks higher."""

import small
from quipu.data.documents import Document
from quipu.data.steps.quality import Quality

GOOD = '''"""Areas."""


def area(width: float, height: float) -> float:
    """The area of a rectangle."""
    # Both sides count.
    return width * height
'''
BAD = "def a(b, c):\n" + "    b = c\n" * 100


def quality(text, language="python"):
    return Quality()(Document(id="a", language=language, text=text)).quality


def test_documented_typed_short_functions_rank_higher():
    assert quality(GOOD) > 0.9
    assert quality(BAD) < 0.2
    assert quality(GOOD.replace(": float", "")) < quality(GOOD)
    assert quality(GOOD.replace('    """The area of a rectangle."""\n', "")) < quality(GOOD)


def test_the_score_lies_between_0_and_1_and_changes_nothing_else():
    before = Document(id="a", language="python", text=small.source(3), licence="MIT")
    after = Quality()(before)
    assert 0 <= after.quality <= 1
    assert (after.text, after.licence) == (before.text, before.licence)


def test_other_languages_rank_by_comments_and_short_functions():
    good = "/** Adds. */\npublic int add(int a, int b) {\n    return a + b; // sum\n}\n\n"
    bad = "public int add(int a, int b) {\n" + "    a = b;\n" * 100 + "}\n"
    assert quality(good * 5, "java") > quality(bad * 5, "java") + 0.3


def test_typed_typescript_ranks_above_untyped():
    typed = "// adds\nfunction add(a: number, b: number): number {\n  return a + b;\n}\n"
    untyped = "// adds\nfunction add(a, b) {\n  return a + b;\n}\n"
    assert quality(typed, "typescript") > quality(untyped, "typescript")


def test_prose_with_headings_and_examples_ranks_above_tables():
    good = "# Title\n\nSome words about it.\n\n```python\nx = 1\n```\n\n## More\n\nMore words.\n"
    assert quality(good, "markdown") > quality("1 | 2 | 3\n---\n4 | 5\n", "markdown")


def test_nothing_and_what_does_not_parse_are_worth_nothing():
    assert quality("") == quality("print 'x'") == 0
