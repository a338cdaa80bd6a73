"""Lines of a text as the Python parser counts them, in bytes."""

import ast
from collections.abc import Iterator

import numpy as np

_SPACES = b" \t\x0c\r\n"


class Lines:
    """Where each line of a UTF-8 text begins. Lines end with LF, CR LF or CR, and nothing else."""

    def __init__(self, data: bytes, begin: int = 0) -> None:
        """`begin` is where the first line begins: after a byte order mark, if there is one."""
        codes = np.frombuffer(data, dtype=np.uint8)
        ends = codes == ord("\n")
        returns = codes == ord("\r")
        returns[:-1] &= ~ends[1:]  # one end, not two
        self.data = data
        self._starts = [begin, *(np.flatnonzero(ends | returns) + 1).tolist()]

    def range(self, first: ast.expr | ast.stmt, last: ast.expr | ast.stmt) -> tuple[int, int]:
        """Bytes from the begin of one node to the end of another."""
        assert last.end_lineno is not None
        assert last.end_col_offset is not None
        start = self._at(first.lineno, first.col_offset)
        return start, self._at(last.end_lineno, last.end_col_offset)

    def _at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def visible(self) -> Iterator[tuple[int, int, int]]:
        """Indentation, start after it, and end before trailing spaces, of lines with something."""
        for start, end in zip(self._starts, [*self._starts[1:], len(self.data)], strict=True):
            line = self.data[start:end]
            text = line.strip(_SPACES)
            if text:
                indent = len(line) - len(line.lstrip(_SPACES))
                yield indent, start + indent, start + indent + len(text)
