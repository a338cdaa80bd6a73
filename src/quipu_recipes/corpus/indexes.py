"""Folders of wheels that pip is set up to look into; recipes name no folder of any machine."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

_FOLDER = re.compile(r"(?:file://)?(/[^\s'\"]+)")
_SETTINGS = ("find-links", "index-url", "extra-index-url")


def configured() -> tuple[Path, ...]:
    """Local folders among pip's indexes, in pip's order; none where pip is not installed."""
    asked = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    return folders(said.stdout)


def folders(listed: str) -> tuple[Path, ...]:
    """Those in the output of `pip config list` that exist here."""
    found: list[Path] = []
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        if key.rpartition(".")[2].lower() not in _SETTINGS:
            continue
        paths = [Path(unquote(path)) for path in _FOLDER.findall(value)]
        found += [path for path in paths if path.is_dir()]
    return tuple(dict.fromkeys(found))
