"""Text that weights are fitted to, as token sequences of one length."""

import hashlib
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quipu.errors import UsageError
from quipu.text.tokenizer import Tokenizer

LENGTH = 512  # tokens of a sequence
PER_FILE = 2  # sequences from one file: many files say more than much of one
# Tables, vendored and generated code, tests; the folder of installed packages.
_SKIPPED = {
    "__phello__",
    "encodings",
    "idle_test",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
}


def read_tokens(
    tokenizer: Tokenizer, source: Path | None, *, count: int, length: int = LENGTH
) -> npt.NDArray[np.int32]:
    """Up to `count` sequences [S, length] of a file, of all text files below a folder, or of the
    running interpreter's standard library if `source` is None; the same in every run.

    A file by itself is read to its end, of one in a folder come the first two sequences. Raises
    UsageError if there is not even one sequence.
    """
    if source is not None and source.is_file():
        found = _sequences(tokenizer, _text(source) or "", length)
    else:
        found = _of_folder(tokenizer, source, length)
    rows = [row for row, _ in zip(found, range(count), strict=False)]
    if not rows:
        raise UsageError(
            "text to calibrate with",
            got=source or "no sources of Python's standard library",
            allowed=f"a UTF-8 file, or a folder of them, with {length} tokens or more",
            remedy="name another with --calibrate, or take --calibrate none",
        )
    return np.array(rows, np.int32)


def _of_folder(tokenizer: Tokenizer, folder: Path | None, length: int) -> Iterator[list[int]]:
    for path in _files(folder):
        text = _text(path)
        if text is not None:
            rows = _sequences(tokenizer, text, length)
            yield from (row for row, _ in zip(rows, range(PER_FILE), strict=False))


def _files(folder: Path | None) -> Iterable[Path]:
    """All files below a folder in an order that mixes them, the same on every machine."""
    if folder is None:
        root = Path(sysconfig.get_path("stdlib"))
        paths = {path.relative_to(root): path for path in root.rglob("*.py")}
        paths = {name: path for name, path in paths.items() if not _SKIPPED & {*name.parts}}
    else:
        paths = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
        paths = {
            name: path
            for name, path in paths.items()
            if not any(part.startswith(".") for part in name.parts)
        }
    return (paths[name] for name in sorted(paths, key=_digest))


def _digest(name: Path) -> bytes:
    return hashlib.sha256(name.as_posix().encode()).digest()


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _sequences(tokenizer: Tokenizer, text: str, length: int) -> Iterator[list[int]]:
    """Whole sequences of a text, the first with the token that begins a document."""
    begin = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    ids = [*begin, *tokenizer.encode(text)]
    return (ids[at : at + length] for at in range(0, len(ids) - length + 1, length))
