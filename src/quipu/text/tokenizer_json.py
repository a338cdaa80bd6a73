"""Pieces of a Hugging Face `tokenizer.json`, with its dummy space and specials made ours.

Two kinds are read: Llama's (byte fallback, spaces written as U+2581) and byte-level BPE. What the
library would add on its own (dummy space, templates, matching of specials) is taken out of the file
before the library sees it.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tokenizers

from quipu.errors import TokenizerError
from quipu.text.pieces import SPACE, canonical, encode_literal_marks, is_special

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_BOS_NAMES = ("<s>", "<|begin_of_text|>", "<|endoftext|>")
_EOS_NAMES = ("</s>", "<|end_of_text|>", "<|endoftext|>")

LARGEST_VOCAB = 2**24  # ids; far above any real one, so that a broken file cannot fill the memory

_Json = dict[str, Any]


class TokenizerJson:
    """A `tokenizer.json` whose model is BPE. Implements `Pieces`."""

    def __init__(self, data: bytes, settings: bytes | None = None) -> None:
        try:
            source = _read(data)
            patched, self.adds_space = _patch(source)
            self.token_bytes = _token_bytes(source)
        except (KeyError, TypeError, AttributeError) as error:
            raise _unreadable(f"an unexpected shape ({error!r})") from error
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(patched)
        except Exception as error:  # the library raises nothing narrower
            raise _unreadable(str(error)) from error
        self.specials = {canonical(piece): token_id for token_id, piece in source.specials.items()}
        self.bos_id, self.eos_id = _ends(self.specials, settings)
        self._mark_ids = _mark_ids(source)
        self.joined = _joined(source)
        identity = json.dumps([patched, self.adds_space, sorted(self.specials.items())])
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Ids of plain text without dummy space; a literal U+2581 stays one."""
        if not self._mark_ids:
            return self._encode(text)
        return encode_literal_marks(self._encode, text, self._mark_ids)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


class _Source(NamedTuple):
    """What the file says."""

    model: _Json
    vocab: Mapping[str, int]
    added: Sequence[_Json]  # tokens matched before the model sees the text, specials left out
    specials: Mapping[int, str]  # id -> piece
    normalizer: Sequence[_Json]
    splitter: Sequence[_Json]  # the pre_tokenizer
    byte_level: bool


def _read(data: bytes) -> _Source:
    parsed = _parse(data, "tokenizer.json")
    model = parsed.get("model") or {}
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        raise _unreadable(f"a model of type {model.get('type')}", allowed="type BPE")
    vocab: Mapping[str, int] = model["vocab"]
    normalizer = _steps(parsed.get("normalizer"), "normalizers")
    splitter = _steps(parsed.get("pre_tokenizer"), "pretokenizers")
    byte_level = any(step["type"] == "ByteLevel" for step in [*normalizer, *splitter])
    added = parsed.get("added_tokens") or []
    specials = {
        token["id"]: token["content"]
        for token in added
        if token["special"] or is_special(token["content"])
    }
    if not byte_level:  # there a piece may spell `<s>` because it was learned from text
        specials |= {token_id: piece for piece, token_id in vocab.items() if is_special(piece)}
    added = [token for token in added if token["id"] not in specials]
    return _Source(model, vocab, added, specials, normalizer, splitter, byte_level)


def _patch(source: _Source) -> tuple[str, bool]:
    """The file for the library, and whether the library would have begun texts with a space."""
    normalizer, before = _without_dummy_space(source.normalizer)
    splitter, within = _without_dummy_space(source.splitter)
    patched = {
        "version": "1.0",
        "added_tokens": [token | {"lstrip": False, "rstrip": False} for token in source.added],
        "normalizer": {"type": "Sequence", "normalizers": normalizer} if normalizer else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splitter} if splitter else None,
        "model": _model_without_specials(source),
    }
    return json.dumps(patched), before or within


def _without_dummy_space(steps: Sequence[_Json]) -> tuple[list[_Json], bool]:
    kept, adds_space = [], False
    for step in steps:
        if step["type"] == "Prepend":
            adds_space = True
        elif step["type"] == "Metaspace":
            old_scheme = "always" if step.get("add_prefix_space", True) else "never"
            adds_space |= step.get("prepend_scheme", old_scheme) != "never"
            never = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never"}
            kept.append({**never, "split": step.get("split", True)})
        elif step["type"] == "ByteLevel":
            adds_space |= step.get("add_prefix_space", False)
            kept.append({**step, "add_prefix_space": False})
        elif step["type"] != "NFC":  # composing letters would change the text
            kept.append(step)
    return kept, adds_space


def _model_without_specials(source: _Source) -> _Json:
    """The model with its specials out of reach: no merge makes one, no text spells one."""
    pieces = set(source.specials.values())
    vocab = {piece: token_id for piece, token_id in source.vocab.items() if piece not in pieces}
    vocab |= {f" {token_id}": token_id for token_id in source.specials}  # models see no raw space
    vocab |= {token["content"]: token["id"] for token in source.added}
    merges = [merge for merge in source.model["merges"] if _product(merge) not in pieces]
    plain = {"vocab": vocab, "merges": merges, "unk_token": None, "dropout": None}
    return {**source.model, **plain}


def _product(merge: str | list[str]) -> str:
    return "".join(_parts(merge))


def _token_bytes(source: _Source) -> list[bytes]:
    ids = [*source.vocab.values(), *source.specials, *(token["id"] for token in source.added)]
    if min(ids) < 0 or max(ids) >= LARGEST_VOCAB:
        raise _unreadable(f"token ids {min(ids)} to {max(ids)}")
    token_bytes = [b""] * (max(ids) + 1)
    spell = _ByteLevelSpelling() if source.byte_level else _spell
    whole = {*source.specials, *(token["id"] for token in source.added)}
    for piece, token_id in source.vocab.items():
        if token_id not in whole:
            token_bytes[token_id] = spell(piece)
    for token in source.added:
        token_bytes[token["id"]] = token["content"].encode()
    return token_bytes


def _spell(piece: str) -> bytes:
    if _BYTE.fullmatch(piece):
        return bytes([int(piece[3:5], 16)])
    return piece.replace(SPACE, " ").encode()


class _ByteLevelSpelling:
    """Bytes of a byte-level piece: GPT-2 writes each byte as one printable character."""

    def __init__(self) -> None:
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in printable]
        self._byte_of = {chr(byte): byte for byte in printable}
        self._byte_of |= {chr(0x100 + place): byte for place, byte in enumerate(others)}

    def __call__(self, piece: str) -> bytes:
        return bytes(self._byte_of[character] for character in piece)


def _mark_ids(source: _Source) -> list[int]:
    if source.byte_level:
        return []
    spellings = [f"<0x{byte:02X}>" for byte in range(256)]
    missing = sum(spelling not in source.vocab for spelling in spellings)
    if missing or not source.model.get("byte_fallback"):
        raise TokenizerError(
            "tokenizer.json cannot spell every text",
            got=f"{missing} of 256 byte pieces missing" if missing else "byte_fallback off",
            allowed="byte fallback or byte-level pieces",
        )
    return [source.vocab[spellings[byte]] for byte in SPACE.encode()]


def _joined(source: _Source) -> frozenset[str] | None:
    """Pieces that merging makes; None where the proof in `boundaries` would not hold."""
    model = source.model
    normalizer, _ = _without_dummy_space(source.normalizer)
    splitter, _ = _without_dummy_space(source.splitter)
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    simple = (normalizer, splitter) == ([spaces], []) or (
        not normalizer and [step["type"] for step in splitter] == ["Metaspace"]
    )
    affixes = ("ignore_merges", "continuing_subword_prefix", "end_of_word_suffix")
    if source.byte_level or source.added or not simple or any(map(model.get, affixes)):
        return None
    parts = {part for merge in model["merges"] for part in _parts(merge)}
    if any(_BYTE.fullmatch(part) for part in parts):
        return None
    return frozenset(
        piece.replace(SPACE, " ")
        for piece, token_id in source.vocab.items()
        if token_id not in source.specials and not _BYTE.fullmatch(piece)
    )


def _parts(merge: str | list[str]) -> list[str]:
    return merge.split(" ") if isinstance(merge, str) else merge


def _ends(specials: Mapping[str, int], settings: bytes | None) -> tuple[int | None, int | None]:
    """Begin and end ids, as tokenizer_config.json names them, else by their usual names."""
    names = _parse(settings, "tokenizer_config.json") if settings else {}
    found: list[int | None] = []
    for key, usual in (("bos_token", _BOS_NAMES), ("eos_token", _EOS_NAMES)):
        if key in names:
            name = names[key]
            spelling = name.get("content") if isinstance(name, dict) else name
            found.append(specials.get(spelling) if isinstance(spelling, str) else None)
        else:
            found.append(next((specials[name] for name in usual if name in specials), None))
    return found[0], found[1]


def _steps(stage: _Json | None, key: str) -> list[_Json]:
    if stage is None:
        return []
    if stage["type"] != "Sequence":
        return [stage]
    return [step for part in stage[key] for step in _steps(part, key)]


def _parse(data: bytes, name: str) -> _Json:
    try:
        parsed = json.loads(data)
    except ValueError as error:  # UnicodeDecodeError too
        raise _unreadable(str(error), name=name) from error
    if not isinstance(parsed, dict):
        raise _unreadable(f"a {type(parsed).__name__}", name=name)
    return parsed


def _unreadable(
    got: str, *, allowed: str = "a file of the tokenizers library", name: str = "tokenizer.json"
) -> TokenizerError:
    return TokenizerError(
        f"{name} cannot be read", got=got, allowed=allowed, remedy="fetch the file again"
    )
