"""Parquet files of the corpus: columns, and writing that gives the same bytes every time."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_BYTES = 8_000_000  # text in one row group
GROUP_ROWS = 16_384

_PROVENANCE = [
    (name, pa.string())
    for name in ("id", "path", "package", "version", "licence", "language", "group", "sha256")
]
PREPARED = pa.schema(
    [
        *_PROVENANCE,
        ("quality", pa.float64()),
        ("bytes", pa.int64()),  # of the text in UTF-8
        ("text_sha256", pa.string()),  # of the text as steps left it
        ("text", pa.string()),
        ("imports", pa.list_(pa.string())),  # of Python: modules named at the margin
    ]
)
DROPPED = pa.schema([*_PROVENANCE, ("bytes", pa.int64()), ("reason", pa.string())])
DOCUMENTS = pa.schema(
    [
        ("number", pa.int32()),
        *_PROVENANCE,
        ("bytes", pa.int64()),
        ("quality", pa.float64()),
        ("state", pa.string()),  # "kept", or the reason why not
        ("text_sha256", pa.string()),  # as steps left it; "" for what did not pass
        ("split", pa.string()),  # "train", "held out", or "" for what is not kept
        ("part", pa.string()),  # file below packages/ that holds the text, "" for none
        ("row", pa.int32()),  # in that file
    ]
)
TEXTS = pa.schema(
    [
        ("number", pa.int32()),
        ("package", pa.string()),
        ("licence", pa.string()),
        ("text", pa.string()),
    ]
)
_MANY_VALUES = ("id", "path", "sha256", "text_sha256", "text", "number", "row", "reason", "imports")


class Writer:
    """Rows into a parquet file, in row groups of bounded size."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        repeated = [name for name in schema.names if name not in _MANY_VALUES]
        self._schema = schema
        self._file = pq.ParquetWriter(
            path, schema, version="2.6", compression="zstd", use_dictionary=repeated
        )
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row."""
        self._rows.append(row)
        self._bytes += len(row.get("text", ""))
        if self._bytes >= GROUP_BYTES or len(self._rows) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush()
        self._file.close()


def write_table(path: Path, table: pa.Table) -> None:
    """A whole table as a file, with the settings of `Writer`."""
    repeated = [name for name in table.schema.names if name not in _MANY_VALUES]
    pq.write_table(
        table,
        path,
        version="2.6",
        compression="zstd",
        use_dictionary=repeated,
        row_group_size=4 * GROUP_ROWS,
    )


def rows(path: Path, columns: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Rows of a file, one row group in memory at a time."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield from file.read_row_group(
                number, columns=list(columns), use_threads=False
            ).to_pylist()


def column_of(table: pa.Table, name: str) -> list[Any]:
    """A column as a list."""
    return list(table.column(name).to_pylist())
