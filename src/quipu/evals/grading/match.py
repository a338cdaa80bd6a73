"""Exact match of a line, and how much of it is right."""


def first_line(text: str) -> str:
    """The first line that is not empty, without the white space around it."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def similarity(found: str, wanted: str) -> float:
    """From 0 to 1: one less the edit distance in parts of the longer text."""
    longest = max(len(found), len(wanted))
    return 1 - _distance(found, wanted) / longest if longest else 1.0


def _distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for number, left in enumerate(one, 1):
        before, row[0] = row[0], number
        for place, right in enumerate(other, 1):
            kept = before + (left != right)
            before = row[place]
            row[place] = min(kept, row[place] + 1, row[place - 1] + 1)
    return row[-1]
