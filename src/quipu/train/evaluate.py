"""What a model knows of text that nobody trains on: compression by source and by position, single
lines written exactly; and, for comparison, its loss on rows of its own training."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from quipu.config import ModelConfig
from quipu.data.loading.mixed import Rows
from quipu.data.loading.mixture import SHORTEST_ROW
from quipu.data.loading.row import NO_TARGET, Row
from quipu.errors import UsageError
from quipu.model.fastest import packed_attention
from quipu.model.rope import frequencies
from quipu.model.transformer import Transformer
from quipu.text import healing, infill
from quipu.text.infill import Order
from quipu.text.tokenizer import Tokenizer
from quipu.train.decoding import greedy
from quipu.train.held_out import Gap, HeldOut, Scored, fitted, packed
from quipu.train.loss import LOSS_TOKENS

LINE_TOKENS = 64  # of an answer at most, and no more than a quarter of a row
SPECIALS = 8  # of an infilling prompt, and what healing and cuts may add
SIDE_BY_SIDE = 32  # answers
MEMORY_TOKENS = 2**17  # of all answers side by side, prompts included
Z = 1.959964  # 95 % of a normal distribution


@dataclass(frozen=True, kw_only=True)
class How:
    """What is measured, and how; equal values choose equal text and lines."""

    row_tokens: int
    rows: int = 64  # of each source, and of the training mixture
    lines: int = 100  # taken out of each source's documents
    joined: bool = False  # files of a package see each other
    groups: tuple[str, ...] = ()  # the sources that are asked; none: all
    seed: int = 0
    dtype: Literal["bfloat16", "float32"] = "float32"

    def __post_init__(self) -> None:
        for name, least in (("row_tokens", SHORTEST_ROW), ("rows", 0), ("lines", 0)):
            if getattr(self, name) < least:
                raise UsageError(name, got=getattr(self, name), allowed=f"{least} or more")

    @property
    def line_tokens(self) -> int:
        """Tokens of an infilling answer at most."""
        return min(LINE_TOKENS, self.row_tokens // 4)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Loss of tokens that see `first` to `last` tokens before the one that foretells them."""

    first: int
    last: int
    loss: float
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Compression:
    """How well the text of a source is foretold."""

    loss: float  # nats per token, ends of documents included
    bits_per_byte: float  # of UTF-8, specials not included
    tokens: int
    bytes: int
    by_position: Sequence[Stretch]


@dataclass(frozen=True, kw_only=True)
class Exact:
    """Lines that were written exactly, with the interval of their share (Wilson's, 95 %)."""

    hits: int
    lines: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Rows of the run itself, spread evenly over all of it, as it trains on them."""

    loss: float  # nats per trained token
    perplexity: float
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that is measured of one model."""

    sources: Mapping[str, Compression]
    by_position: Sequence[Stretch]  # over all sources
    infilling: Mapping[str, Mapping[Order, Exact]]  # by source; nothing if it cannot infill
    mixture: Mixture | None


def loaded(
    config: ModelConfig, weights: Iterable[tuple[str, Tensor]], device: str, dtype: str
) -> Transformer:
    """The model with these weights, for nothing but reading."""
    with torch.device("meta"):
        model = Transformer(config)
    model.rope_frequency, model.rope_factor = frequencies(config)
    kind: torch.dtype = getattr(torch, dtype)
    placed = {name: weight.to(device=device, dtype=kind) for name, weight in weights}
    model.load_state_dict(placed, assign=True)
    return model.requires_grad_(False).eval()


def evaluate(
    model: Transformer,
    tokenizer: Tokenizer,
    held_out: HeldOut,
    how: How,
    *,
    infills: bool,
    trained_on: tuple[Rows, int] | None = None,
) -> Findings:
    """Measure a model. `trained_on`: rows of its run, and how many there are.

    Raises UsageError for a group of which nothing was held out.
    """
    unknown = set(how.groups).difference(held_out.sources)
    if unknown:
        raise UsageError(
            "held-out groups", got=", ".join(sorted(unknown)), allowed=", ".join(held_out.sources)
        )
    sources = how.groups or held_out.sources
    sums = {source: _Sums(how.row_tokens) for source in sources}
    for source, found in sums.items():
        passages = held_out.passages(
            source,
            tokenizer,
            row_tokens=how.row_tokens,
            rows=how.rows,
            joined=how.joined,
            seed=how.seed,
        )
        for scored in packed(passages, how.row_tokens):
            found.add(token_losses(model, scored.row), scored)
    infilling = {}
    if infills and how.lines:
        for source in sources:
            if gaps := chosen_gaps(held_out, source, tokenizer, how):
                infilling[source] = exact(model, tokenizer, gaps, how.line_tokens)
    return Findings(
        sources={source: found.compression() for source, found in sums.items() if found.tokens},
        by_position=_stretches(list(sums.values())),
        infilling=infilling,
        mixture=_mixture(model, *trained_on, how.rows) if trained_on and how.rows else None,
    )


@torch.no_grad()
def token_losses(model: Transformer, row: Row) -> npt.NDArray[np.float64]:
    """Nats of each target of a row, 0 where there is none: [T]."""
    weight = model.tok_embeddings.weight

    def tensor(values: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(values).to(weight.device)

    attend = packed_attention(tensor(row.document_T), row.document_T.size, weight.dtype)
    hidden_TD = model.hidden(tensor(row.tokens_T), tensor(row.positions_T), attend)
    targets_T = tensor(row.targets_T)
    parts = [
        F.cross_entropy(
            model.head(hidden_TD[start : start + LOSS_TOKENS]),
            targets_T[start : start + LOSS_TOKENS],
            ignore_index=NO_TARGET,
            reduction="none",
        )
        for start in range(0, len(targets_T), LOSS_TOKENS)
    ]
    return torch.cat(parts).double().cpu().numpy()


class _Sums:
    """Sums over the targets of a source."""

    def __init__(self, row_tokens: int) -> None:
        buckets = int(np.frexp(row_tokens - 1)[1]) + 1
        self.nats, self.count = np.zeros((2, buckets))  # by what is seen: 0, 1, 2-3, 4-7 ...
        self.text_nats, self.bytes = 0.0, 0

    @property
    def tokens(self) -> int:
        """All targets."""
        return int(self.count.sum())

    def add(self, nats_T: npt.NDArray[np.float64], scored: Scored) -> None:
        """Count a row."""
        counted = scored.row.targets_T != NO_TARGET
        buckets = np.frexp(scored.row.positions_T[counted])[1]
        self.nats += np.bincount(buckets, nats_T[counted], len(self.nats))
        self.count += np.bincount(buckets, minlength=len(self.count))
        text = counted & (scored.bytes_T > 0)
        self.text_nats += float(nats_T[text].sum())
        self.bytes += int(scored.bytes_T[text].sum())

    def compression(self) -> Compression:
        """What comes out."""
        return Compression(
            loss=float(self.nats.sum() / self.count.sum()),
            bits_per_byte=self.text_nats / math.log(2) / max(self.bytes, 1),
            tokens=self.tokens,
            bytes=self.bytes,
            by_position=_stretches([self]),
        )


def _stretches(sums: Sequence[_Sums]) -> tuple[Stretch, ...]:
    nats = np.sum([found.nats for found in sums], axis=0)
    count = np.sum([found.count for found in sums], axis=0)
    return tuple(
        Stretch(
            first=2 ** (bucket - 1) if bucket else 0,
            last=max(2**bucket - 1, 0),
            loss=float(nats[bucket] / count[bucket]),
            tokens=int(count[bucket]),
        )
        for bucket in np.flatnonzero(count).tolist()
    )


def _mixture(model: Transformer, rows: Rows, total: int, count: int) -> Mixture:
    nats, tokens = 0.0, 0
    for place in range(min(count, total)):
        row = rows.row(place * total // min(count, total))
        nats += float(token_losses(model, row).sum())
        tokens += int((row.targets_T != NO_TARGET).sum())
    loss = nats / max(tokens, 1)
    return Mixture(loss=loss, perplexity=math.exp(min(loss, 700.0)), tokens=tokens)


def chosen_gaps(held_out: HeldOut, source: str, tokenizer: Tokenizer, how: How) -> list[Gap]:
    """Up to `how.lines` gaps of a source that fit a row with what stands around them."""
    found: list[Gap] = []
    for gap in held_out.gaps(source, seed=how.seed):
        if len(found) == how.lines:
            break
        fits = fitted(gap, tokenizer, how.row_tokens - how.line_tokens - SPECIALS)
        if fits is not None:
            found.append(fits)
    return found


def exact(
    model: Transformer, tokenizer: Tokenizer, gaps: Sequence[Gap], line_tokens: int
) -> dict[Order, Exact]:
    """How many gaps are filled with exactly the line that stood there, in both orders.

    As `quipu infill` asks: greedily, prompts in SPM order healed, up to the end of the line.
    """
    found: dict[Order, Exact] = {}
    for order in get_args(Order):
        answers = filled(model, tokenizer, gaps, order, line_tokens)
        hits = sum(answer == gap.line for gap, answer in zip(gaps, answers, strict=True))
        found[order] = share(hits, len(gaps))
    return found


def filled(
    model: Transformer, tokenizer: Tokenizer, gaps: Sequence[Gap], order: Order, line_tokens: int
) -> Iterator[str]:
    """What the model writes into each gap up to the line's end, without space around it."""
    asked = [infill.prompt(tokenizer, gap.before, gap.after, order) for gap in gaps]
    healed = [healing.heal(tokenizer, ids) if order == "spm" else (ids, b"") for ids in asked]
    longest = max((len(ids) for ids, _ in healed), default=0) + line_tokens
    size = max(1, min(SIDE_BY_SIDE, MEMORY_TOKENS // longest))
    for start in range(0, len(healed), size):
        part = healed[start : start + size]
        lines = [_Line(tokenizer, forced) for _, forced in part]
        answers = greedy(
            model,
            [ids for ids, _ in part],
            [line.ended for line in lines],
            limit=line_tokens,
            constraints=[line.constraint for line in lines],
        )
        yield from (line.text(ids) for line, ids in zip(lines, answers, strict=True))


class _Line:
    """Reads answers up to the end of a line."""

    def __init__(self, tokenizer: Tokenizer, forced: bytes) -> None:
        """The answer begins with bytes of the prompt that healing took from it."""
        self._tokenizer, self._forced = tokenizer, forced
        self.constraint = healing.PrefixConstraint(tokenizer, forced) if forced else None

    def _bytes(self, ids: Sequence[int]) -> bytes:
        data = b"".join(self._tokenizer.token_bytes[i] for i in ids if i < self._tokenizer.vocab)
        return data[len(self._forced) :]

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether a line's end or a special has come."""
        last = ids[-1]
        special = last >= self._tokenizer.vocab or not self._tokenizer.token_bytes[last]
        return special or b"\n" in self._bytes(ids)

    def text(self, ids: Sequence[int]) -> str:
        """The line."""
        return self._bytes(ids).decode(errors="replace").partition("\n")[0].strip()


def share(hits: int, count: int) -> Exact:
    """A share of hits with Wilson's interval."""
    part = hits / count
    whole = 1 + Z * Z / count
    middle = (part + Z * Z / (2 * count)) / whole
    width = Z * math.sqrt(part * (1 - part) / count + Z * Z / (4 * count**2)) / whole
    low, high = max(0.0, middle - width), min(1.0, middle + width)
    return Exact(hits=hits, lines=count, share=part, low=low, high=high)
