"""Real Python files: those of the wheels of well-known packages."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGES = tuple(
    """astropy bokeh botocore dask django fonttools ipython jax langchain-community matplotlib mypy
    networkx nltk numba openai pandas pip pylint ray scikit-learn scipy setuptools sphinx sqlalchemy
    statsmodels sympy transformers twisted""".split()  # noqa: SIM905, one literal each is a page
)


def download(folder: Path) -> list[Path]:
    """The packages' wheels, sorted; those that are there are not fetched again."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not list(folder.glob(f"{package.replace('-', '_')}-*.whl")):
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            options = ["--only-binary", ":all:", "--dest", str(folder), package]
            subprocess.run([*pip, *options], check=True)
    return sorted(
        wheel for package in PACKAGES for wheel in folder.glob(f"{package.replace('-', '_')}-*.whl")
    )


def python_files(wheels: list[Path], count: int) -> list[tuple[str, str]]:
    """So many (name, text) of all that are UTF-8 and not empty, drawn by the hash of the name."""
    archives = {wheel: zipfile.ZipFile(wheel) for wheel in wheels}
    found = [
        (f"{wheel.name.split('-')[0]}/{name}", wheel, name)
        for wheel, archive in archives.items()
        for name in archive.namelist()
        if name.endswith(".py")
    ]
    found.sort(key=lambda one: hashlib.sha256(one[0].encode()).digest())
    texts: list[tuple[str, str]] = []
    for name, wheel, member in found:
        try:
            text = archives[wheel].read(member).decode("utf-8")
        except UnicodeDecodeError:
            continue
        if text:
            texts.append((name, text))
        if len(texts) == count:
            break
    return sorted(texts)
