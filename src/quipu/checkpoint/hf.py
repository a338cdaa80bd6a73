"""Hugging Face's layout: a folder with config.json and one or more safetensors files."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from quipu.checkpoint.abilities import stated_or_derived
from quipu.checkpoint.checkpoint import Checkpoint, Part, Weight, checked, our_weights
from quipu.checkpoint.config_json import read_config, write_config
from quipu.checkpoint.files import FETCH_AGAIN, read_json, read_whole
from quipu.checkpoint.names import name_in
from quipu.checkpoint.safetensors_file import SafetensorsWriter, read_parts
from quipu.checkpoint.settings import Settings
from quipu.checkpoint.tensors import StoredTensor, TensorSpec
from quipu.checkpoint.tokenizer_facts import FILES, TokenizerFacts, read_facts
from quipu.config import Abilities, ModelConfig
from quipu.errors import CheckpointError

CONFIG = "config.json"
_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_IGNORED = re.compile(r"\.rotary_emb\.inv_freq$")


def open_hf(path: Path, rope_theta: float | None = None) -> Checkpoint:
    """Open a folder as transformers writes it. Raises CheckpointError if it is not whole."""
    settings = Settings(str(path / CONFIG), read_json(path / CONFIG))
    parts = _read_all_parts(path)
    names = our_weights(path, "hf", parts, _IGNORED)
    found = {ours: Weight(parts=(parts[theirs],)) for ours, theirs in names.items()}
    config = read_config(settings, _vocab(path, found, settings), rope_theta)
    if config.tied:
        found.pop("output.weight", None)  # a copy of the embedding that some files carry
    name = path.resolve().name
    return Checkpoint(
        layout="hf",
        path=path,
        name=name,
        config=config,
        abilities=stated_or_derived(
            settings.inner("quipu"), name, lambda: read_tokenizer_files(path)
        ),
        weights=checked(path, config, found),
        load_tokenizer_files=lambda: read_tokenizer_files(path),
    )


def read_tokenizer_files(path: Path) -> dict[str, bytes]:
    """Contents of the tokenizer's files in a folder, those that are there."""
    return {name: read_whole(path / name) for name in FILES if (path / name).is_file()}


def _vocab(path: Path, found: Mapping[str, Weight], settings: Settings) -> int:
    embedding = found.get("tok_embeddings.weight")
    if embedding is not None and embedding.spec.shape:
        return embedding.spec.shape[0]
    read_config(settings, 1, 1.0)  # another architecture is the likelier trouble
    trouble = "the embedding is missing" if embedding is None else "the embedding has no rows"
    raise CheckpointError(f"{path}: {trouble}", remedy=FETCH_AGAIN)


def _read_all_parts(path: Path) -> dict[str, Part]:
    if (path / _INDEX).is_file():
        return _read_indexed(path)
    if (path / _SINGLE).is_file():
        return read_parts(path / _SINGLE)
    raise CheckpointError(
        f"{path}: no weights",
        allowed=f"{_SINGLE}, or {_INDEX} and its files",
        remedy="save the model as safetensors: save_pretrained(path, safe_serialization=True)",
    )


def _read_indexed(path: Path) -> dict[str, Part]:
    where = Settings(str(path / _INDEX), read_json(path / _INDEX)).inner("weight_map")
    if where is None:
        raise CheckpointError(f"{path / _INDEX}: weight_map is missing", remedy=FETCH_AGAIN)
    shards = {}
    for file in sorted({where.text(name) for name in where.values}):
        if Path(file).name != file or not (path / file).is_file():
            raise CheckpointError(
                f"{path}: a shard is missing", got=f"{file} not found", remedy="fetch this file"
            )
        shards[file] = read_parts(path / file)
    found = {}
    for name in where.values:
        file = where.text(name)
        if name not in shards[file]:
            raise CheckpointError(
                f"{path / file}: {name} is not in it, though the index says so", remedy=FETCH_AGAIN
            )
        found[name] = shards[file][name]
    return found


class HfWriter:
    """Writes such a folder, weight by weight in any order."""

    def __init__(
        self,
        path: Path,
        config: ModelConfig,
        abilities: Abilities,
        specs: Mapping[str, TensorSpec],
        tokenizer_files: Mapping[str, bytes],
        shards: int,
    ) -> None:
        path.mkdir()
        self._file_of: dict[str, str] = {}
        self._writers: dict[str, SafetensorsWriter] = {}
        groups = _groups(specs, shards)
        for number, group in enumerate(groups, 1):
            file = _SINGLE if len(groups) == 1 else _shard_name(number, len(groups))
            self._file_of |= dict.fromkeys(group, file)
            self._writers[file] = SafetensorsWriter(
                path / file, {name_in("hf", name): specs[name] for name in group}
            )
        if len(groups) > 1:
            total = sum(spec.bytes for spec in specs.values())
            weight_map = {name_in("hf", name): file for name, file in self._file_of.items()}
            _write_json(
                path / _INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map}
            )
        facts = read_facts(tokenizer_files)
        bos_id, eos_id = (facts.bos_id, facts.eos_id) if facts else (1, 2)
        dtype = specs["tok_embeddings.weight"].dtype
        _write_json(path / CONFIG, write_config(config, abilities, dtype, bos_id, eos_id))
        _write_tokenizer(path, tokenizer_files, facts)

    def write(self, name: str, tensor: StoredTensor) -> None:
        """Write one weight by our name, in the format that the specs promised."""
        self._writers[self._file_of[name]].write(name_in("hf", name), tensor.data)

    def finish(self) -> None:
        """Complete the files and make sure that they have reached the disk."""
        for writer in self._writers.values():
            writer.finish()

    def close(self) -> None:
        """Nothing to free: no file stays open between two weights."""


def _shard_name(number: int, count: int) -> str:
    return f"model-{number:05}-of-{count:05}.safetensors"


def _groups(specs: Mapping[str, TensorSpec], shards: int) -> list[list[str]]:
    """Weights in order, cut where a share of the bytes is full; at most `shards` groups."""
    share = sum(spec.bytes for spec in specs.values()) / shards
    groups: dict[int, list[str]] = {}
    done = 0
    for name, spec in specs.items():
        groups.setdefault(min(int(done / share), shards - 1), []).append(name)
        done += spec.bytes
    return list(groups.values())


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_tokenizer(path: Path, files: Mapping[str, bytes], facts: TokenizerFacts | None) -> None:
    for name, data in files.items():
        (path / name).write_bytes(data)
    if facts is None:
        return
    if "generation_config.json" not in files:
        ends = {"bos_token_id": facts.bos_id, "eos_token_id": facts.eos_id}
        _write_json(path / "generation_config.json", ends)
    if "tokenizer_config.json" not in files and "tokenizer.model" in files:
        _write_json(path / "tokenizer_config.json", _tokenizer_config(facts))


def _tokenizer_config(facts: TokenizerFacts) -> dict[str, object]:
    """What transformers wants to know of a tokenizer.model whose source did not say it."""
    return {
        "tokenizer_class": "CodeLlamaTokenizer" if facts.infill else "LlamaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "legacy": False,
    }
