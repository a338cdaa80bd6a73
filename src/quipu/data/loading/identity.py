"""What a run's data are, in words: compared when a run resumes, hashed into a fingerprint."""

import hashlib
import json
from collections.abc import Mapping

from quipu.data.loading.mixture import DialogueRecipe, LoaderRecipe
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError
from quipu.text.tokenizer import Tokenizer

ORDER = "1"  # raised whenever the same recipe and shards give other rows than before


def of_mixture(recipe: LoaderRecipe | DialogueRecipe, tokenizer: Tokenizer) -> dict[str, str]:
    """What rows of all sources depend on."""
    return {
        "order": ORDER,
        "tokenizer": tokenizer.fingerprint,
        "row_tokens": str(recipe.row_tokens),
        "infilling": repr(recipe.infilling),
        "seed": str(recipe.seed),
        "sources": ", ".join(source.name for source in recipe.sources),
    }


def of_shards(shards: TokenShards, recipe: LoaderRecipe) -> dict[str, str]:
    """The shards that a recipe names, by their hashes."""
    numbers = json.dumps(shards.manifest.dropped)
    found = {"dropped": f"{len(shards.manifest.dropped)} documents, {_short(numbers)}"}
    for source in recipe.sources:
        found[f"source {source.name}"] = repr(source)
        records = [record.json() for record in shards.manifest.groups[source.group]]
        documents = sum(shard.documents for shard in shards.manifest.groups[source.group])
        tokens = sum(shard.tokens for shard in shards.manifest.groups[source.group])
        content = _short(json.dumps(records, sort_keys=True))
        found[f"group {source.group}"] = f"{tokens} tokens, {documents} documents, {content}"
    return found


def fingerprint(of: Mapping[str, str]) -> str:
    """One hash of an identity."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()


def check(saved: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raises DataError that names every difference, if rows would not be those of before."""
    differences = [
        f"{name}: {saved.get(name, 'absent')} -> {now.get(name, 'absent')}"
        for name in sorted({*saved, *now})
        if saved.get(name) != now.get(name)
    ]
    if differences:
        raise DataError(
            "the run was trained on other data",
            got=" | ".join(differences),
            allowed="the shards and the loader recipe it was started with",
            remedy="resume on those, or start a new run",
        )


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
