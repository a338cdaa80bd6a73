"""What a checkpoint needs to know of its tokenizer: how many ids, and which ones are special.

Turning text into ids is the business of `quipu.text`; this only reads the files that travel with
the weights. `tokenizer.model` decides where both it and `tokenizer.json` are present.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import sentencepiece

from quipu.checkpoint.settings import Settings
from quipu.errors import TokenizerError

# Every file that belongs to a tokenizer in a Hugging Face folder, and how generation should end.
FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
)
INFILL = ("<PRE>", "<SUF>", "<MID>", "<EOT>")
STEP = "<step>"
_MARK = "\u2581"  # SentencePiece's space; Code Llama spells its pieces with it, others do not


@dataclass(frozen=True, kw_only=True)
class TokenizerFacts:
    """Size of a vocabulary and the ids with a meaning of their own."""

    vocab: int  # highest id + 1
    bos_id: int | None
    eos_id: int | None
    unk_id: int | None
    infill: tuple[int, int, int, int] | None  # prefix, suffix, middle, end of text
    step_id: int | None
    added: Mapping[int, tuple[str, bool]]  # id -> text and whether control, beyond the model file
    chat_template: str | None


def read_facts(files: Mapping[str, bytes]) -> TokenizerFacts | None:
    """Facts of the tokenizer in these files; None if there is none.

    Raises TokenizerError if a file cannot be read.
    """
    if "tokenizer.model" in files:
        return _from_sentencepiece(files)
    if "tokenizer.json" in files:
        return _from_json(files)
    return None


def check_tokenizer(vocab: int, tokenizer_vocab: int) -> None:
    """Raise TokenizerError if the tokenizer has ids beyond the rows of the embedding.

    Fewer ids than rows are fine: embeddings are often padded, and the surplus rows are never used.
    """
    if tokenizer_vocab > vocab:
        raise TokenizerError(
            "tokenizer does not fit the vocabulary of the weights",
            got=f"{tokenizer_vocab} token ids",
            allowed=f"{vocab} (rows of the embedding) or fewer",
            remedy="use the tokenizer that belongs to this model",
        )


def _from_sentencepiece(files: Mapping[str, bytes]) -> TokenizerFacts:
    model = sentencepiece.SentencePieceProcessor()
    try:
        model.LoadFromSerializedProto(files["tokenizer.model"])
    except (RuntimeError, UnicodeDecodeError) as error:
        raise _unreadable("tokenizer.model", error) from error
    size: int = model.vocab_size()
    added = {token: text for token, text in _added_tokens(files).items() if token >= size}
    ids = {text: token for token, (text, _) in added.items()}

    def find(text: str) -> int | None:
        for spelling in (_MARK + text, text):
            if spelling in ids:
                return ids[spelling]
            token: int = model.piece_to_id(spelling)
            if token != model.unk_id():
                return token
        return None

    return TokenizerFacts(
        vocab=max((size - 1, *added)) + 1,
        bos_id=_id(model.bos_id()),
        eos_id=_id(model.eos_id()),
        unk_id=_id(model.unk_id()),
        infill=_all_of(*map(find, INFILL)),
        step_id=find(STEP),
        added=added,
        chat_template=_chat_template(files),
    )


def _id(token: int) -> int | None:
    return token if token >= 0 else None


def _all_of(
    prefix: int | None, suffix: int | None, middle: int | None, end: int | None
) -> tuple[int, int, int, int] | None:
    if prefix is None or suffix is None or middle is None or end is None:
        return None
    return prefix, suffix, middle, end


def _from_json(files: Mapping[str, bytes]) -> TokenizerFacts:
    values = _object("tokenizer.json", files["tokenizer.json"])
    model = values.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocab, dict):
        ids = {str(text): int(token) for text, token in vocab.items()}
    elif isinstance(vocab, list):  # Unigram: pairs of text and score
        ids = {str(text): token for token, (text, _) in enumerate(vocab)}
    else:
        raise TokenizerError("tokenizer.json: it has no vocabulary", remedy="fetch the file again")
    ids |= {text: token for token, (text, _) in _added_tokens(files).items()}

    def find(text: str) -> int | None:
        return ids.get(_MARK + text, ids.get(text))

    def named(role: str, *usual: str) -> int | None:
        stated = _special(files, role)
        return next((ids[text] for text in (stated, *usual) if text in ids), None)

    return TokenizerFacts(
        vocab=max(ids.values(), default=-1) + 1,
        bos_id=named("bos_token", "<s>", "<|begin_of_text|>", "<|endoftext|>"),
        eos_id=named("eos_token", "</s>", "<|end_of_text|>", "<|endoftext|>"),
        unk_id=named("unk_token", "<unk>"),
        infill=_all_of(*map(find, INFILL)),
        step_id=find(STEP),
        added={},
        chat_template=_chat_template(files),
    )


def _added_tokens(files: Mapping[str, bytes]) -> dict[int, tuple[str, bool]]:
    """Tokens that Hugging Face's files add: id -> text and whether it is a control token."""
    found: dict[int, tuple[str, bool]] = {}
    for text, token in _optional("added_tokens.json", files).items():
        if isinstance(token, int):
            found[token] = (text, True)
    decoder = Settings("", _optional("tokenizer_config.json", files)).inner("added_tokens_decoder")
    listed = _optional("tokenizer.json", files).get("added_tokens") or []
    entries = [*(decoder.values.items() if decoder else ())]
    if isinstance(listed, list):
        entries += [(entry.get("id"), entry) for entry in listed if isinstance(entry, dict)]
    for token_id, entry in entries:
        if isinstance(entry, dict) and str(token_id).isdigit():
            found[int(str(token_id))] = (str(entry.get("content")), bool(entry.get("special")))
    return found


def _chat_template(files: Mapping[str, bytes]) -> str | None:
    if "chat_template.jinja" in files:
        return files["chat_template.jinja"].decode("utf-8", "replace")
    template = _optional("tokenizer_config.json", files).get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _special(files: Mapping[str, bytes], role: str) -> str | None:
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        value = _optional(file, files).get(role)
        if isinstance(value, dict):
            value = value.get("content")
        if isinstance(value, str):
            return value
    return None


def _optional(name: str, files: Mapping[str, bytes]) -> Mapping[str, object]:
    return _object(name, files[name]) if name in files else {}


def _object(name: str, data: bytes) -> Mapping[str, object]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise _unreadable(name, error) from error
    if not isinstance(found, dict):
        raise TokenizerError(f"{name}: not a JSON object", got=type(found).__name__)
    return found


def _unreadable(name: str, error: Exception) -> TokenizerError:
    return TokenizerError(f"{name} cannot be read", got=error, remedy="fetch the file again")
