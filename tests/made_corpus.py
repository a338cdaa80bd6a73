"""A corpus folder as a build leaves it, made of a few files, for tests that look at corpora."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("number", pa.int32()),
        *((name, pa.string()) for name in ("id", "path", "package", "version", "licence")),
        *((name, pa.string()) for name in ("language", "group", "sha256")),
        ("bytes", pa.int64()),
        ("quality", pa.float64()),
        ("state", pa.string()),
        ("split", pa.string()),
    ]
)
TEXTS = pa.schema([("number", pa.int32()), ("text", pa.string())])


def row(
    package: str,
    path: str,
    text: str,
    *,
    state: str = "kept",
    split: str = "train",
    group: str = "python",
    language: str = "",
    licence: str = "MIT",
    quality: float = 0.5,
) -> dict[str, Any]:
    """One row of documents.parquet, and its text."""
    return {
        "id": f"{package}/1.0/{path}",
        "path": path,
        "package": package,
        "version": "1.0",
        "licence": licence,
        "language": language or group,
        "group": group,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "bytes": len(text.encode()),
        "quality": quality,
        "state": state,
        "split": split if state == "kept" else "",
        "text": text,
    }


def write(
    folder: Path, rows: Sequence[dict[str, Any]], duplicates: Sequence[dict[str, Any]] = ()
) -> Path:
    """Write the files that reports and `show` read, but for the token shards."""
    (folder / "texts").mkdir(parents=True)
    (folder / "dedup").mkdir()
    numbered = [{"number": number, **values} for number, values in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(numbered, SCHEMA), folder / "documents.parquet")
    kept = [values for values in numbered if values["state"] == "kept"]
    for group in sorted({values["group"] for values in kept}):
        texts = [values for values in kept if values["group"] == group]
        pq.write_table(
            pa.Table.from_pylist(texts, TEXTS), folder / "texts" / f"{group}-00000.parquet"
        )
    schema = pa.schema([("id", pa.string()), ("kept_id", pa.string()), ("kind", pa.string()),
                        ("jaccard", pa.float64())])  # fmt: skip
    pq.write_table(
        pa.Table.from_pylist(list(duplicates), schema), folder / "dedup" / "duplicates.parquet"
    )
    recipe = {"name": "made-up", "format": 1, "cap_bytes": 1000, "packages": [],
              "steps": [{"value": "Licences", "allowed": ["MIT"]}, "Parses()"]}  # fmt: skip
    (folder / "recipe.json").write_text(json.dumps(recipe))
    (folder / "manifest.json").write_text(json.dumps({"fingerprint": "abc123"}))
    return folder


def varied(seed: int = 0, packages: int = 12, files: int = 20) -> tuple[list[Any], list[Any]]:
    """Rows and duplicates of a corpus with something of everything."""
    draws = np.random.default_rng(seed)
    groups = ("python", "cpp", "java", "typescript", "text")
    reasons = ("tests: not in the share that stays", "licence: GPL-3.0-only", "long lines: mean",
               "generated: says so", "licence: unknown", "cap: over 10 bytes of it",
               "decontaminate: program of HumanEval/3 in humaneval/problems.jsonl")  # fmt: skip
    rows: list[Any] = []
    duplicates = []
    for package in range(packages):
        name = f"pypi/made-{package}" if package % 3 else f"npm/@made/p{package}"
        group = groups[package % len(groups)]
        for file in range(files):
            text = f"value_{package}_{file} = 1\n" * int(draws.integers(1, 400))
            choice = int(draws.integers(0, 14))
            state = reasons[choice] if choice < len(reasons) else "kept"
            made = row(
                name,
                f"src/f{file}.x",
                text,
                state=state,
                group=group,
                split="held out" if package == 5 else "train",
                licence=("MIT", "Apache-2.0", "BSD-3-Clause")[package % 3],
                quality=float(draws.random()),
            )
            if state == "kept" and rows and draws.random() < 0.15:
                other = rows[int(draws.integers(0, len(rows)))]["id"]
                made |= {"state": f"near duplicate of {other} 0.83", "split": ""}
                duplicates.append(
                    {"id": made["id"], "kept_id": other, "kind": "near",
                     "jaccard": float(draws.uniform(0.7, 1))}
                )  # fmt: skip
            rows.append(made)
    rows.append(row("pypi/made-1", "logo.png", "", state="language: none of ours", group=""))
    return rows, duplicates
