"""A corpus that is built in seconds from what every machine has, to try the pipeline with."""

import sysconfig
from pathlib import Path

from quipu.data.corpus.recipe import CorpusRecipe
from quipu.data.sources.packages import Package
from quipu_recipes.corpus import STEPS
from quipu_recipes.corpus.judgement import Reviewed

FOLDERS = ("asyncio", "concurrent", "email", "http", "importlib", "json", "logging", "xml")


def tiny() -> CorpusRecipe:
    """A few packages of the running interpreter's standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    reviewed = (
        Reviewed(package=f"folder/{name}", licence="PSF-2.0", because="LICENSE of CPython")
        for name in FOLDERS
    )
    return CorpusRecipe(
        name="tiny",
        packages=tuple(
            Package(ecosystem="folder", name=name, place=library / name) for name in FOLDERS
        ),
        steps=(*reviewed, *STEPS),
        cap_bytes=1_000_000,
        held_out=0.17,  # which is "http"
        vocab=1024,
        shard_tokens=200_000,
    )
