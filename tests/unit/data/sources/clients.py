"""Stand-ins for pip, npm and apt: programs on PATH that do what a test says."""

import os
import stat
import sys
from pathlib import Path


def install(folder: Path, monkeypatch, **programs: str) -> Path:
    """Put Python programs first on PATH; `-` in a name is written `_`. Their log is returned.

    A program finds its arguments in `args`, its options' values with `after("--option")`, and ends
    with `fail(text)`.
    """
    log = folder / "calls.log"
    binaries = folder / "bin"
    binaries.mkdir()
    for name, body in programs.items():
        path = binaries / name.replace("_", "-")
        path.write_text(
            f"#!{sys.executable} -S\n"
            "import sys, os, json, hashlib, base64\n"
            "from pathlib import Path\n"
            "args = sys.argv[1:]\n"
            f"with open({str(log)!r}, 'a') as file: print({name!r}, *args, file=file)\n"
            "def after(option): return args[args.index(option) + 1]\n"
            "def fail(text): print(text, file=sys.stderr); sys.exit(1)\n" + body
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    return log


def calls(log: Path) -> list[str]:
    """What was called, with its arguments."""
    return log.read_text().splitlines() if log.exists() else []
