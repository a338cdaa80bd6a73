"""Text to token ids and back, byte for byte, with the dummy space and the specials under control.

A vocabulary comes from a SentencePiece `tokenizer.model` or from a `tokenizer.json`; the library
behind it only splits plain text. Nothing here adds the beginning or end token: formats do
(`infill`, `chat`).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from quipu.errors import TextError, TokenizerError, UsageError
from quipu.text.byte_index import ByteIndex
from quipu.text.pieces import SPACE, Pieces
from quipu.text.sentencepiece_model import SentencePieceModel
from quipu.text.tokenizer_json import TokenizerJson

FILE_NAMES = ("tokenizer.model", "added_tokens.json", "tokenizer.json", "tokenizer_config.json")

# What a vocabulary that rewrites text stumbles over: runs of spaces, capitals, line ends, NUL,
# ligatures, composed and decomposed letters, an emoji, and SentencePiece's mark for a space.
_PROBE = f"  a  B\t\r\n\0\ufb01 \u00e9 e\u0301 \U0001f999 {SPACE} \u00bd <s> "

_INFILL = re.compile("<PRE>|<SUF>|<MID>|(?:<EOT>)+")  # written with a space before them


@dataclass(frozen=True, kw_only=True)
class InfillIds:
    """Control tokens of the infilling format."""

    pre: int
    suf: int
    mid: int
    eot: int


class Tokenizer:
    """Token ids of a vocabulary: `decode(encode(text)) == text` for every text."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self.token_bytes: Sequence[bytes] = pieces.token_bytes
        self.vocab: int = len(pieces.token_bytes)
        self.bos_id: int | None = pieces.bos_id
        self.eos_id: int | None = pieces.eos_id
        self.adds_space: bool = pieces.adds_space
        self.specials: Mapping[str, int] = pieces.specials
        self.fingerprint: str = pieces.fingerprint
        self.infill: InfillIds | None = _infill_ids(pieces.specials)
        self.step_id: int | None = pieces.specials.get("<step>")
        found = self.decode(self.encode(_PROBE))
        if found != _PROBE:
            raise TokenizerError(
                "tokenizer does not keep text byte for byte",
                got=f"{found!r} for {_PROBE!r}",
                allowed="byte fallback or byte-level pieces, no normalisation",
            )

    @staticmethod
    def from_files(files: Mapping[str, bytes]) -> "Tokenizer":
        """Read a tokenizer from its files, from `tokenizer.model` if both are there.

        `added_tokens.json` and `tokenizer_config.json` tell of tokens beside a `tokenizer.model`
        (70B's `<step>` may be one); the latter also tells the ends of a `tokenizer.json`.
        Raises TokenizerError if there is none, or it cannot be read or loses text.
        """
        if "tokenizer.model" in files:
            return Tokenizer(SentencePieceModel(files["tokenizer.model"], _added(files)))
        if "tokenizer.json" in files:
            settings = files.get("tokenizer_config.json")
            return Tokenizer(TokenizerJson(files["tokenizer.json"], settings))
        raise TokenizerError(
            "no tokenizer",
            got=", ".join(sorted(files)) or "no files",
            allowed="tokenizer.model or tokenizer.json",
        )

    @staticmethod
    def load(path: Path) -> "Tokenizer":
        """Read a tokenizer from one of its files, or from the folder that holds them.

        Raises TokenizerError as `from_files` does, and if the path cannot be read.
        """
        try:
            if path.is_dir():
                found = [path / name for name in FILE_NAMES if (path / name).is_file()]
                return Tokenizer.from_files({file.name: file.read_bytes() for file in found})
            kind = "tokenizer.json" if path.suffix == ".json" else "tokenizer.model"
            return Tokenizer.from_files({kind: path.read_bytes()})
        except OSError as error:
            raise TokenizerError(
                f"tokenizer {path} cannot be read", got=error.strerror or type(error).__name__
            ) from error

    def encode(
        self, text: str, *, dummy_prefix: bool = True, allow_specials: bool = False
    ) -> list[int]:
        """Token ids of `text`; specials spelled in it stay text unless `allow_specials`.

        `dummy_prefix=False` continues a text: nothing is put before it. With `allow_specials` the
        text form of Code Llama's paper, `<PRE> {prefix} <SUF>{suffix} <MID>`, becomes the ids that
        `infill.prompt` gives: one space before an infilling special belongs to the special, and no
        dummy space follows one. Raises TextError for a lone surrogate.
        """
        _refuse_surrogates(text)
        if allow_specials and self.specials:
            return self._encode_with_specials(text, dummy_prefix)
        return self._encode_plain(text, dummy_prefix)

    def decode(self, ids: Iterable[int], *, dummy_prefix: bool = True) -> str:
        """Text of `ids`, less the dummy space that `encode` put first; specials give nothing.

        `dummy_prefix=False` is for a continuation, whose first space is its own. Bytes that are not
        UTF-8 become U+FFFD. Raises UsageError for an id outside the vocabulary.
        """
        data = b"".join(map(self._bytes_of, ids))
        if dummy_prefix and self.adds_space:
            data = data.removeprefix(b" ")
        return data.decode(errors="replace")

    @cached_property
    def byte_index(self) -> ByteIndex:
        """Tokens by the bytes they add to the text."""
        return ByteIndex(self.token_bytes)

    @property
    def joined(self) -> frozenset[str] | None:
        """See `Pieces`."""
        return self._pieces.joined

    def _bytes_of(self, token_id: int) -> bytes:
        if not 0 <= token_id < self.vocab:
            raise UsageError(
                "token id outside the vocabulary", got=token_id, allowed=f"0 to {self.vocab - 1}"
            )
        return self.token_bytes[token_id]

    def _encode_plain(self, text: str, dummy_prefix: bool) -> list[int]:
        if not text:
            return []
        return self._pieces.encode(" " + text if dummy_prefix and self.adds_space else text)

    def _encode_with_specials(self, text: str, dummy_prefix: bool) -> list[int]:
        ids: list[int] = []
        for position, part in enumerate(self._special_pattern.split(text)):
            if position % 2:
                ids.append(self.specials[part.removeprefix(" ")])
            else:
                ids += self._encode_plain(part, dummy_prefix and position == 0)
        return ids

    @cached_property
    def _special_pattern(self) -> re.Pattern[str]:
        """Every special, the longest first; those of infilling with the space before them."""
        longest_first = sorted(self.specials, key=len, reverse=True)
        swallow = " ?" if self.adds_space else ""
        spellings = [
            swallow * bool(_INFILL.fullmatch(spelling)) + re.escape(spelling)
            for spelling in longest_first
        ]
        return re.compile(f"({'|'.join(spellings)})")


def _added(files: Mapping[str, bytes]) -> dict[str, int]:
    """Text and id of the tokens that Hugging Face keeps beside a tokenizer.model."""

    def read(name: str) -> dict[str, Any]:
        try:
            found = json.loads(files.get(name, b"{}"))
        except ValueError as error:
            raise TokenizerError(f"{name} is not JSON", got=error) from error
        return found if isinstance(found, dict) else {}

    added = {text: i for text, i in read("added_tokens.json").items() if isinstance(i, int)}
    decoder = read("tokenizer_config.json").get("added_tokens_decoder")
    for token_id, token in (decoder if isinstance(decoder, dict) else {}).items():
        if token_id.isdigit() and isinstance(token, dict) and isinstance(token.get("content"), str):
            added[token["content"]] = int(token_id)
    return added


def _infill_ids(specials: Mapping[str, int]) -> InfillIds | None:
    pre, suf, mid, eot = (specials.get(f"<{name}>") for name in ("PRE", "SUF", "MID", "EOT"))
    if pre is None or suf is None or mid is None or eot is None:
        return None
    return InfillIds(pre=pre, suf=suf, mid=mid, eot=eot)


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextError(
            "text holds half a character",
            got=f"lone surrogate U+{ord(text[error.start]):04X} at position {error.start}",
            allowed="whole Unicode characters",
            remedy="read the text as UTF-8",
        ) from error
