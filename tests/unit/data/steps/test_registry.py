"""Steps by name, options from words."""

import pytest

from quipu.data.steps.paths import Tests, Vendored
from quipu.data.steps.registry import STEPS, WHOLE, kind_name, make, make_whole, parameters
from quipu.data.steps.shape import TooShort
from quipu.errors import UsageError


def test_options_take_the_type_of_the_field():
    assert make("tests", ["keep=0.25"]) == Tests(keep=0.25)
    assert make("too-short", ["lines=2", "characters=7"]) == TooShort(lines=2, characters=7)
    assert make("vendored", ["names=a,b"]) == Vendored(names=("a", "b"))
    assert make("redact", ["personal=no"]).personal is False
    assert make("decontaminate", ["benchmarks=none", "index=x"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nothing", [], "got nothing; allowed: licence, language, vendored"),
        ("tests", ["share=1"], "got share=1; allowed: keep="),
        ("tests", ["keep"], "got keep; allowed: keep="),
        ("tests", ["keep=many"], "tests keep; got many; allowed: number"),
        ("parses", ["x=1"], "allowed: no options"),
        ("redact", ["secrets=perhaps"], "allowed: true or false"),
        ("decontaminate", [], "got no benchmarks, no index"),
    ],
)
def test_wrong_names_and_options_are_told_what_is_allowed(name, options, message):
    with pytest.raises(UsageError, match=message):
        make(name, options)


def test_every_option_can_be_written_on_the_command_line():
    for factory in {**STEPS, **WHOLE}.values():
        for option in parameters(factory).values():
            assert kind_name(option.annotation)
    assert make_whole("near-duplicates", ["jaccard=0.8"])
