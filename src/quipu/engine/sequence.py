"""The state of one answer on its way. Policy lives in scheduler.py, memory in pages.py."""

from __future__ import annotations

import collections.abc as abc
from array import array
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from quipu.engine.ngrams import Drafter
from quipu.request import Sampling


class Constraint(Protocol):
    """A rule about the next token, for example the forced prefix of token healing."""

    def allowed(self, generated: abc.Sequence[int]) -> npt.NDArray[np.integer] | None:
        """Ids that may follow `generated`; None once the rule has nothing more to say."""


@dataclass(kw_only=True, eq=False, slots=True)
class Sequence:
    """One answer: its tokens, the pages that hold their keys and values, and what ends it."""

    request_id: int
    index: int  # which of the request's n answers
    arrival: int  # order of arrival; the youngest is pre-empted first
    tokens: list[int]  # the prompt, then the answer
    prompt_length: int
    limit: int  # tokens the answer may have
    sampling: Sampling
    seed: int
    stop_ids: frozenset[int] = frozenset()
    constraint: Constraint | None = None
    leader: Sequence | None = None  # the first answer of the same request, for the others
    scored: bool = False  # logits of every prompt row are wanted, no answer is
    plain: bool = False  # the next token is that of the largest logit, a constraint apart
    seen: set[int] = field(default_factory=set)  # tokens, if the repetition penalty needs them
    drafter: Drafter | None = None
    pages: array[int] = field(default_factory=lambda: array("i"))
    digests: list[bytes] = field(default_factory=list)  # hash chain over full pages
    computed: int = 0  # leading tokens whose keys and values are in the pages
    cached: int | None = None  # prompt tokens the prefix cache gave; None before admission
    prefilled: bool = False  # the whole prompt has been computed at least once

    @property
    def remaining(self) -> int:
        """Tokens still to be computed before the next one can be chosen."""
        return len(self.tokens) - self.computed

    @property
    def generated(self) -> list[int]:
        """Tokens of the answer so far."""
        return self.tokens[self.prompt_length :]

    def append(self, token_id: int) -> None:
        """Take a chosen token in."""
        self.tokens.append(token_id)
        if self.sampling.repetition_penalty != 1:
            self.seen.add(token_id)
