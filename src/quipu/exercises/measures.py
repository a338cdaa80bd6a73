"""How varied a set of exercises is: compositions, trees, compression, primitives."""

import ast
import hashlib
import re
import sysconfig
import zlib
from collections import Counter
from pathlib import Path

SAMPLE = 4 << 20  # bytes that are compressed
# Names and constants in the dump of a tree.
WORDS = re.compile(r"(id|arg|name|attr|value)=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+)")
REAL = ("textwrap", "heapq", "statistics", "fractions", "shlex", "difflib", "configparser", "csv")


class Measures:
    """Counts over exercises as they are added."""

    def __init__(self) -> None:
        self.forms: Counter[str] = Counter()
        self.parts: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()
        self.compositions: set[bytes] = set()
        self.shapes: set[bytes] = set()
        self.trees: set[bytes] = set()
        self.parsed = 0
        self._sample: list[bytes] = []
        self._bytes = 0

    def add(self, line: dict[str, object]) -> None:
        """Count one exercise."""
        provenance = line["provenance"]
        assert isinstance(provenance, dict)
        self.forms[str(provenance["form"])] += 1
        self.licences[str(line["licence"])] += 1
        self.parts.update(map(str, provenance.get("parts", ())))
        if "composition" in provenance:
            self.compositions.add(_digest(str(provenance["composition"])))
            self.shapes.add(_digest(str(provenance["shape"])))
        text = str(line["text"])
        tree = skeleton(text)
        if tree is not None:
            self.parsed += 1
            self.trees.add(_digest(tree))
        if self._bytes < SAMPLE:
            self._sample.append(text.encode())
            self._bytes += len(self._sample[-1])

    def facts(self) -> dict[str, object]:
        """All counts, as JSON."""
        return {
            "forms": dict(sorted(self.forms.items())),
            "licences": dict(sorted(self.licences.items())),
            "primitives": dict(sorted(self.parts.items())),
            "distinct_compositions": len(self.compositions),
            "distinct_shapes": len(self.shapes),
            "distinct_trees": len(self.trees),
            "parsed": self.parsed,
            "compressed_to": compressed(b"".join(self._sample)),
            "real_code_compressed_to": compressed(real_code()),
        }


def skeleton(text: str) -> str | None:
    """The tree of a program without its names, numbers and strings; None where it is no program."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return WORDS.sub(r"\1", ast.dump(tree))


def compressed(text: bytes) -> float:
    """The size that zlib leaves, as a share; 0 for no text."""
    return round(len(zlib.compress(text, 9)) / len(text), 4) if text else 0.0


def real_code() -> bytes:
    """Some modules of the standard library, to compare with."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = (folder / f"{name}.py" for name in REAL)
    return b"".join(file.read_bytes() for file in files if file.is_file())


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:12]
