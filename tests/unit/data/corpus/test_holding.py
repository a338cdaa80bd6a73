"""Which packages are held out: by name, and one of each group that has several."""

import pytest

from quipu.data.corpus.holding import held_out, is_drawn

NAMES = [f"pypi/p{number}" for number in range(300)]
OUT = [name for name in NAMES if is_drawn(name, 0.02)]
IN = [name for name in NAMES if not is_drawn(name, 0.02)]


def test_names_draw_about_their_share():
    assert 1 <= len(OUT) <= 15


def test_a_group_whose_names_draw_none_gives_the_package_nearest_to_the_share():
    sizes = {IN[0]: {"bash": 900}, IN[1]: {"bash": 30}, IN[2]: {"bash": 2}, IN[3]: {"bash": 68}}
    assert held_out(sizes, 0.02) == {IN[1]}


def test_a_group_with_a_drawn_package_gives_no_other():
    sizes = {IN[0]: {"java": 90}, OUT[0]: {"java": 9}, IN[1]: {"java": 1}}
    assert held_out(sizes, 0.02) == {OUT[0]}


def test_a_package_counts_for_the_group_that_most_of_it_is_in():
    # The drawn one has some Bash, which is not what it is there for.
    sizes = {OUT[0]: {"python": 90, "bash": 10}, IN[0]: {"bash": 50}, IN[1]: {"bash": 2}}
    sizes |= {IN[2]: {"python": 10}}
    assert held_out(sizes, 0.02) == {OUT[0], IN[1]}


def test_the_only_package_of_a_group_stays_for_training():
    assert held_out({IN[0]: {"php": 10}, IN[1]: {"java": 10}}, 0.02) == frozenset()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_and_all_may_be_held_out(share):
    sizes = {name: {"python": 1} for name in NAMES[:9]}
    assert len(held_out(sizes, share)) == 9 * share


def test_the_order_of_packages_changes_nothing():
    sizes = {name: {"bash": 7} for name in IN[:9]}
    assert held_out(sizes, 0.02) == held_out(dict(reversed(sizes.items())), 0.02)
