"""The corpus we ship: which packages, which licences, which steps, and why.

Goals after all steps: 300 MB of Python, 15 MB of each other language of arXiv 2308.12950, text
about code, a little plain prose. A package gives at most 20 MB to a group, which for all but C#
(where the class libraries of Mono are nearly all there is) is a few percent of it; the largest are
read in part.
"""

from quipu.data.corpus.recipe import CorpusRecipe
from quipu.data.dedup.settings import Near
from quipu.data.documents import Map, Step
from quipu.data.licences import PERMISSIVE, Licences
from quipu.data.sources.packages import Package
from quipu.data.steps.generated import Generated
from quipu.data.steps.paths import Tests, Vendored
from quipu.data.steps.quality import Quality
from quipu.data.steps.redact import Redact
from quipu.data.steps.shape import DataLike, LongLines, Minified, TooShort
from quipu.data.steps.syntax import Parses
from quipu_recipes.corpus import entries, others, prose, python
from quipu_recipes.corpus.indexes import configured
from quipu_recipes.corpus.judgement import Reviewed, Unless

# Beside what permits everything with a notice. MPL: copyleft that ends at the file, and asks
# nothing of a work that is not a changed copy of it. Others: permissive, rare.
ALLOWED = (*PERMISSIVE, "MPL-2.0", "OLDAP-2.8", "Artistic-2.0", "blessing", "AFL-2.1")

REVIEWED = (
    Reviewed(
        package="debian/python3.11",
        paths=("Lib", "Tools", "Doc"),
        licence="PSF-2.0",
        because="LICENSE of CPython; debian/copyright lists every notice in the tree as prose",
    ),
    Reviewed(
        package="pypi/scipy",
        paths=("scipy",),
        licence="BSD-3-Clause",
        because="LICENSE.txt; GPL and LGPL are those of compiled libraries inside the wheel",
    ),
    Reviewed(
        package="pypi/flax",
        paths=("flax",),
        licence="Apache-2.0",
        because="LICENSE of the wheel, and its classifier",
    ),
    Reviewed(
        package="debian/openldap",
        paths=("tests",),
        licence="OLDAP-2.8",
        because="head of each script, and LICENSE; debian/copyright is prose",
    ),
)

STEPS: tuple[Step | Map, ...] = (
    *REVIEWED,
    Licences(allowed=ALLOWED),
    Vendored(),
    # Tests are half of all shell under these licences, and read like any other shell.
    Unless(language="bash", step=Tests(keep=0.1)),
    TooShort(),
    LongLines(),
    Minified(),
    DataLike(),
    Generated(),
    Redact(),
    Parses(),
    Quality(),
)

PROSE_STEPS: tuple[Step | Map, ...] = (
    *prose.REVIEWED,
    Licences(allowed=ALLOWED),
    TooShort(),
    LongLines(),
    DataLike(),
    Redact(),
    Quality(),
)

_PYTHON = (python.ALGORITHMS, python.SCIENCE, python.LEARNING, python.WEB, python.TOOLS)
_DEBIAN = (
    others.CPP,
    others.SHELL,
    others.JAVA,
    others.PHP,
    others.SCRIPT,
    others.CSHARP,
    others.STANDARD_LIBRARY,
)

PACKAGES: tuple[Package, ...] = (
    *(package for text in _PYTHON for package in entries.words(text, "pypi", python.TAKE)),
    *(package for text in _DEBIAN for package in entries.lines(text, "debian")),
    *entries.lines(others.NPM, "npm"),
    *entries.lines(others.SHELL_OF_PYPI, "pypi"),
    *entries.lines(prose.NPM, "npm", prose=True),
    *entries.lines(prose.DEBIAN, "debian", prose=True),
)

# Packages of small functions that compute: later stages of training weigh them three to five times.
ALGORITHMIC: tuple[str, ...] = tuple(
    package.full_name
    for package in (
        *entries.words(python.ALGORITHMS, "pypi", {}),
        *entries.lines(others.STANDARD_LIBRARY, "debian"),
    )
)


def shipped() -> CorpusRecipe:
    """The corpus of our small models. Benchmarks to keep out are a setting: benchmarks=FOLDER."""
    return CorpusRecipe(
        name="quipu-corpus-1",
        packages=PACKAGES,
        indexes=configured(),
        steps=STEPS,
        prose_steps=PROSE_STEPS,
        near=Near(),
        cap_bytes=20_000_000,
        held_out=0.02,  # of each group one at least
        vocab=16_384,
    )
