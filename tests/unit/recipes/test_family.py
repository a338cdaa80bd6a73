"""The stages of our own models."""

import pytest

from quipu.errors import UsageError
from quipu_recipes import family


def shares(recipe, *, packages):
    return sum(
        source.weight
        for source in recipe.data.sources
        if source.group == "python" and source.packages == packages
    )


@pytest.mark.parametrize("stage", [family.long_context, family.python])
def test_whole_packages_take_their_share_from_single_files(stage):
    usual, more = stage("6m"), stage("6m", packages=0.5)
    assert shares(more, packages=True) == 0.5
    total = shares(usual, packages=True) + shares(usual, packages=False)
    assert shares(more, packages=True) + shares(more, packages=False) == pytest.approx(total)


@pytest.mark.parametrize("packages", [0.0, 0.85, 1.0])
def test_a_share_without_single_files_or_packages_is_refused(packages):
    with pytest.raises(UsageError, match="packages"):
        family.long_context("6m", packages=packages)
