"""The model inside the package: made from source code that lies on any machine able to train it."""

import sysconfig
from pathlib import Path

from quipu.config import SIZES
from quipu.data.documents import Folder, NotTables, PathHasNo, SaneLines
from quipu.data.steps.syntax import Parses
from quipu.train.recipe import TrainRecipe

# Packages that this one and PyTorch bring along: PSF, BSD, MIT and Apache licences.
PACKAGES = (
    "fsspec",
    "jinja2",
    "mpmath",
    "networkx",
    "numpy",
    "requests",
    "rich",
    "torch/distributions",
    "torch/fx",
    "torch/nn",
    "torch/optim",
    "torch/utils",
    "urllib3",
)

STEPS = (
    PathHasNo(names=("test", "tests", "idle_test", "testing", "site-packages", "_vendor")),
    PathHasNo(names=("encodings", "lib2to3", "pydoc_data", "__phello__", "_emoji_codes")),
    SaneLines(),
    NotTables(),
    Parses(),
)


def installed_python() -> TrainRecipe:
    """A 6M-parameter model from the standard library and the packages that PyTorch needs.

    About 40 minutes on two cores: 13M tokens, one and a half passes. Half of the parts are
    rearranged for infilling, half of those in each order.
    """
    library, packages = (Path(sysconfig.get_path(which)) for which in ("stdlib", "purelib"))
    return TrainRecipe(
        name="quipu-6m",
        model=SIZES["quipu-6m"],
        sources=(
            Folder(name="stdlib", root=library, steps=STEPS),
            *(Folder(name=name, root=packages / name, steps=STEPS) for name in PACKAGES),
        ),
        tokens=13_000_000,
        # Small batches: in so short a run it is steps that are scarce (docs/log.md).
        batch_tokens=4_096,
        matrix_lr=4e-3,
        other_lr=2e-3,
        decay=0.8,
    )
