"""manifest.json: all that can change a number, so that numbers are never mixed.

A run goes on only under the manifest it began with. Problems may be added (a higher --limit), and
samples: what is there already stays what it would have been.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from quipu.errors import QuipuError, UsageError
from quipu.evals.runner.folder import kept
from quipu.evals.runner.settings import Settings
from quipu.evals.task import Declaration, Decoding, Prompt
from quipu.llm import LLM
from quipu.sandbox.program import Judge

NAME = "manifest.json"
FORMAT = 1
# What may differ: they tell of the run's size, or are for people.
_FREE = (("limit",), ("decoding", "samples"), ("declaration", "published"))
_FREE_TOO = (("declaration", "title"), ("declaration", "ks"), ("declaration", "decoding"))


def manifest(
    declaration: Declaration,
    decoding: Decoding,
    settings: Settings,
    llm: LLM,
    files: Mapping[str, bytes],
    *,
    prompts: str = "",
    limit: int | None = None,
    judge: Judge | None = None,
    languages: Sequence[str] = (),
) -> dict[str, object]:
    """The manifest of a run, of JSON values. `limit`: only so many problems are asked."""
    info = llm.info
    found = {
        "format": FORMAT,
        "quipu": settings.version,
        "declaration": dataclasses.asdict(declaration),
        "decoding": dataclasses.asdict(decoding),
        "seed": settings.seed,
        "data": {  # as they are: a file of the user's own has no declared hash
            source.path: hashlib.sha256(files[source.name]).hexdigest()
            for source in declaration.data
        },
        "prompts": prompts,
        "model": {"name": info.name, "context": info.context, **settings.model},
        "tokenizer": llm.tokenizer.fingerprint,
        "limits": dataclasses.asdict(settings.limits) if judge else {},
        "toolchains": {
            name: version
            for each in languages
            for name, version in (judge.versions(each) if judge else {}).items()
        },
        "sandbox": list(judge.layers) if judge else [],
        "limit": limit,
    }
    plain: dict[str, object] = json.loads(json.dumps(found))
    return plain


def prompts_hash(prompts: Iterator[Prompt]) -> str:
    """A hash of all prompts of a task, whether they are asked in this run or not."""
    digest = hashlib.sha256()
    for prompt in prompts:
        words = [type(prompt).__name__, dataclasses.asdict(prompt)]
        digest.update(json.dumps(words).encode() + b"\n")
    return digest.hexdigest()


def settle(folder: Path, new: Mapping[str, object]) -> None:
    """Write the manifest, or check that the run in this folder began with the same.

    Raises UsageError that names what differs.
    """
    path = folder / NAME
    if path.exists():
        old = _read(path)
        differ = [
            f"{name} {_short(new_value)} (there: {_short(old_value)})"
            for name, old_value, new_value in _differences(old, new)
        ]
        if differ:
            raise UsageError(
                f"run folder {folder} has answers of another run",
                got="; ".join(differ),
                remedy="choose the same, or another folder with --run",
            )
        new = _grown(old, new)
    text = json.dumps(new, indent=1, ensure_ascii=False) + "\n"
    aside = path.with_suffix(".tmp")
    with kept(path):
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
        trouble: object = "no JSON object"
    except (OSError, ValueError) as error:
        trouble = error
    raise QuipuError(f"{path} cannot be read", got=trouble, remedy="choose another folder (--run)")


def _differences(old: object, new: object, *place: str) -> Iterator[tuple[str, object, object]]:
    """Places that differ, by dotted name, with both values."""
    if place in (*_FREE, *_FREE_TOO):
        return
    if isinstance(old, dict) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key), new.get(key), *place, str(key))
    elif old != new:
        yield ".".join(place), old, new


def _grown(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """The new manifest with at least the problems and samples of the old one."""
    limits = [old.get("limit"), new.get("limit")]
    limit = None if None in limits else max(each for each in limits if isinstance(each, int))
    before, after = old.get("decoding"), new["decoding"]
    assert isinstance(after, dict)
    samples = before.get("samples", 1) if isinstance(before, dict) else 1
    decoding = {**after, "samples": max(samples, after["samples"])}
    return {**new, "limit": limit, "decoding": decoding}


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"
