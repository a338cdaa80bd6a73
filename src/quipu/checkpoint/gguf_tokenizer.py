"""A tokenizer inside GGUF metadata, out of and back into the files of Hugging Face's layout.

A `tokenizer.model` travels as tokens, scores and types, as llama.cpp reads it, and is built anew
from them. A tokenizer that only is a `tokenizer.json` travels whole, under the key
`tokenizer.huggingface.json`; llama.cpp then runs the model by token ids. Small files beside them
travel as text under `quipu.file.`.
"""

from collections.abc import Mapping, Sequence

from quipu.checkpoint.settings import Settings
from quipu.checkpoint.tokenizer_facts import TokenizerFacts, read_facts
from quipu.errors import TokenizerError
from quipu.sentencepiece_proto import (
    BYTE,
    CONTROL,
    NORMAL,
    UNUSED,
    USER_DEFINED,
    Piece,
    SentencePieceProto,
    decode,
    encode,
)

_KEY = "tokenizer.ggml."
_JSON_KEY = "tokenizer.huggingface.json"
_TEMPLATE_KEY, _TEMPLATE_FILE = "tokenizer.chat_template", "chat_template.jinja"
_FILE_KEY = "quipu.file."
_SMALL_FILES = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
)
# Infilling pieces in the order of TokenizerFacts.infill: llama.cpp's present keys and former ones.
_INFILL_KEYS = (
    ("fim_pre_token_id", "prefix_token_id"),
    ("fim_suf_token_id", "suffix_token_id"),
    ("fim_mid_token_id", "middle_token_id"),
    ("eot_token_id",),
)


def to_metadata(files: Mapping[str, bytes], vocab: int) -> dict[str, object]:
    """Metadata of a tokenizer for `vocab` embedding rows; empty without tokenizer files.

    Raises TokenizerError for a tokenizer.model that is not BPE.
    """
    facts = read_facts(files)
    if facts is None:
        return {}
    if "tokenizer.model" in files:
        found = _sentencepiece_metadata(decode(files["tokenizer.model"]), facts, vocab)
    else:
        found = {_KEY + "model": "none", _JSON_KEY: files["tokenizer.json"].decode()}
    for key, token in (("bos", facts.bos_id), ("eos", facts.eos_id), ("unknown", facts.unk_id)):
        if token is not None:
            found[f"{_KEY}{key}_token_id"] = token
    for keys, token in zip(_INFILL_KEYS, facts.infill or (), strict=False):
        found |= {_KEY + key: token for key in keys}
    if facts.chat_template is not None:
        found[_TEMPLATE_KEY] = facts.chat_template
    for name in _SMALL_FILES:
        if name in files:
            found[_FILE_KEY + name] = files[name].decode()
    return found


def _sentencepiece_metadata(
    proto: SentencePieceProto, facts: TokenizerFacts, vocab: int
) -> dict[str, object]:
    pieces = list(proto.pieces)
    for token in range(len(pieces), vocab):
        if token in facts.added:
            text, control = facts.added[token]
            pieces.append(Piece(text, 0.0, CONTROL if control else USER_DEFINED))
        else:
            pieces.append(_padding(token))
    return {
        _KEY + "model": "llama",
        _KEY + "pre": "default",
        _KEY + "tokens": [piece.text for piece in pieces],
        _KEY + "scores": [piece.score for piece in pieces],
        _KEY + "token_type": [piece.kind for piece in pieces],
        _KEY + "add_space_prefix": proto.dummy_prefix,
        _KEY + "remove_extra_whitespaces": proto.remove_extra_spaces,
        _KEY + "precompiled_charsmap": proto.charsmap,
        _KEY + "add_bos_token": True,
        _KEY + "add_eos_token": False,
    }


def _padding(token: int) -> Piece:
    """What llama.cpp puts where the embedding has a row and the tokenizer no piece."""
    return Piece(f"[PAD{token}]", 0.0, UNUSED)


def from_metadata(settings: Settings) -> dict[str, bytes]:
    """Files of the tokenizer in a GGUF file; empty if it holds none that we can rebuild.

    Raises TokenizerError if what it holds does not go together.
    """
    files: dict[str, bytes] = {}
    if settings.has(_JSON_KEY):
        files["tokenizer.json"] = settings.text(_JSON_KEY).encode()
    elif settings.text(_KEY + "model", "none") == "llama":
        files["tokenizer.model"] = encode(_proto(settings))
    else:
        return files
    for name in _SMALL_FILES:
        if settings.has(_FILE_KEY + name):
            files[name] = settings.text(_FILE_KEY + name).encode()
    if settings.has(_TEMPLATE_KEY):
        files[_TEMPLATE_FILE] = settings.text(_TEMPLATE_KEY).encode()
    return files


def _proto(settings: Settings) -> SentencePieceProto:
    texts = _array(settings, "tokens")
    scores = _array(settings, "scores")
    kinds = _array(settings, "token_type") or [NORMAL] * len(texts)
    if not len(texts) == len(scores) == len(kinds):
        raise TokenizerError(
            f"{settings.where}: tokenizer arrays of different lengths",
            got=f"{len(texts)} tokens, {len(scores)} scores, {len(kinds)} types",
        )
    if unknown := [kind for kind in kinds if kind not in range(NORMAL, BYTE + 1)]:
        raise TokenizerError(
            f"{settings.where}: unknown type of token",
            got=unknown[0],
            allowed=f"{NORMAL} to {BYTE}",
        )
    listed = zip(texts, scores, kinds, strict=True)
    pieces = [Piece(str(text), float(str(score)), int(str(kind))) for text, score, kind in listed]
    while pieces and pieces[-1].text == _padding(len(pieces) - 1).text:
        pieces.pop()
    charsmap = _array(settings, "precompiled_charsmap")
    return SentencePieceProto(
        pieces=tuple(pieces),
        unk_id=_token(settings, "unknown", 0, len(pieces)),
        bos_id=_token(settings, "bos", 1, len(pieces)),
        eos_id=_token(settings, "eos", 2, len(pieces)),
        dummy_prefix=settings.flag(_KEY + "add_space_prefix", True),
        remove_extra_spaces=settings.flag(_KEY + "remove_extra_whitespaces", False),
        charsmap=bytes(int(str(byte)) for byte in charsmap),
    )


def _array(settings: Settings, key: str) -> Sequence[object]:
    value = settings.values.get(_KEY + key)
    return value if isinstance(value, list) else []


def _token(settings: Settings, role: str, default: int, pieces: int) -> int | None:
    token = settings.values.get(f"{_KEY}{role}_token_id", default)
    return token if isinstance(token, int) and 0 <= token < pieces else None
