"""Numbers as reports write them."""

import pytest

from quipu.data.report import wording


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345_678, "12.3 MB"), (3e11, "300 GB")],
)
def test_sizes_have_three_digits(count, text):
    assert wording.size(count) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 5, "0 %"), (1, 10_000, "< 0.1 %"), (1, 30, "3.3 %"), (1, 2, "50 %"), (0, 0, "0 %")],
)
def test_a_share_of_something_is_never_nothing(part, whole, text):
    assert wording.share(part, whole) == text


def test_groups_come_in_one_order_and_unknown_ones_last():
    assert wording.in_order({"zig", "bash", "python", "ada"}) == ["python", "bash", "ada", "zig"]
