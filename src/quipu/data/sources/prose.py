"""Plain prose as people lay it out: no line longer than a page is wide."""

import textwrap

WIDTH = 96
LONGEST = 160  # characters of a line that stays as it is


def laid_out(text: str) -> str:
    """The text with lines broken that are longer than LONGEST, at spaces alone."""
    return "\n".join(_broken(line) if len(line) > LONGEST else line for line in text.split("\n"))


def _broken(line: str) -> str:
    return textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)
