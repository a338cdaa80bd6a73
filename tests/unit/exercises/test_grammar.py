"""Every primitive's ways agree; compositions are drawn by key; held-out words stay out."""

import ast
import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from quipu.exercises import check
from quipu.exercises.compose import (
    bind,
    compose,
    held_out_primitives,
    load,
    primitives,
)
from quipu.exercises.mutate import faults
from quipu.exercises.patterns import singular
from quipu.exercises.render import Renderer, Style
from quipu.exercises.run import Runner
from quipu.exercises.steps import GRAMMAR, returns
from quipu.exercises.wording import Wording

load()
RUNNER = Runner()
PLAIN = Style(hints="none")


def rendered(composition, seed, ways=None):
    """A composition as the text of a module."""
    r = random.Random(seed)
    return Renderer(composition, "f", Style.draw(r) if ways is None else PLAIN, r).render(ways)


def test_there_are_two_hundred_primitives_and_more():
    assert len(primitives()) >= 200


@settings(max_examples=2, deadline=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_all_ways_of_every_step_agree(seed):
    r = random.Random(seed)
    jobs, keys = [], []
    for key, step in GRAMMAR.steps.items():
        composition = bind(r, GRAMMAR.domains[step.takes], [step])
        calls = check.inputs(composition, r)[:4]
        for way in range(len(step.ways)):
            code = rendered(composition, seed, (way,)).text()
            jobs.append(check.job(code, "f", calls))
            keys.append(key)
    values: dict[str, set[tuple[str, ...]]] = {}
    for key, outcome in zip(keys, RUNNER.run(jobs), strict=True):
        assert outcome.ok, (key, outcome)
        values.setdefault(key, set()).add(outcome.values)
    assert {key for key, found in values.items() if len(found) > 1} == set()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_renderings_parse_and_their_names_do_not_clash(seed):
    composition = compose(random.Random(seed), "train")
    tree = ast.parse(rendered(composition, seed).text())
    function = tree.body[-1]
    assert isinstance(function, ast.FunctionDef)
    names = [argument.arg for argument in function.args.args]
    assert len(set(names)) == len(names)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_description_names_every_parameter(seed):
    r = random.Random(seed)
    composition = compose(r, "train")
    wording = Wording(composition, r, "train")
    text = wording.docstring([])
    assert "$" not in text
    assert "§" not in text
    for name in (composition.noun.whole, *(b.argument for b in composition.arguments)):
        assert name in text
    assert wording.name().isidentifier()


def test_held_out_primitives_are_in_dev_alone():
    held = held_out_primitives()
    assert 0.02 < len(held) / len(primitives()) < 0.15
    r = random.Random(1)
    for _ in range(200):
        used = {part for link in compose(r, "train").links for part in link.step.parts}
        assert not used & held
    for _ in range(20):
        assert {part for link in compose(r, "dev").links for part in link.step.parts} & held


def test_the_same_key_draws_the_same_composition():
    assert compose(random.Random(3), "train") == compose(random.Random(3), "train")


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("are even", "is even"),
        ("are vowels", "is a vowel"),
        ("have one digit", "has one digit"),
        ("start with $k", "starts with $k"),
        ("do not contain $k", "does not contain $k"),
        ("begin with the character they end with", "begins with the character it ends with"),
    ],
)
def test_a_verb_has_a_singular(plural, one):
    assert singular(plural) == one


def test_an_inner_function_does_not_return_for_the_outer_one():
    assert returns("if $x:\n    return 1\n$out = 2")
    assert not returns("def inner():\n    return 1\n\n$out = inner()")


def test_dull_values_are_told():
    calls = [("1",), ("2",), ("3",), ("4",)]
    assert check.dull(calls, ["5"] * 4) is not None
    assert check.dull(calls, ["1", "2", "3", "4"]) == "trivial: identity"
    assert check.dull(calls, ["2", "3", "4", "5"]) is None
    assert check.dull(calls, ["True", "False", "True", "False"]) is None


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_faults_parse_and_change_the_program(seed):
    code = rendered(compose(random.Random(seed), "train"), seed).text()
    for wrong in faults(code, random.Random(seed), 5):
        assert not check.same_tree(code, wrong)
