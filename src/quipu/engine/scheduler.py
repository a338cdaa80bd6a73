"""Who computes how many tokens in the next step: continuous batching with chunked prefill.

Order of a step: sequences that only lack their last token (decode), then prompts already begun,
then waiting ones, oldest first, until the step's token budget is spent. When pages run out the
youngest sequence gives up its own and is computed again later; its tokens are kept.

A step in which every sequence lacks only its last token may carry drafts too (`speculation`). They
take what budget and pages are left over, and give both back with the step.
"""

from array import array
from bisect import insort
from collections.abc import Sequence as Sequences
from typing import NamedTuple

from quipu.engine.pages import Pages, extend_chain
from quipu.engine.sequence import Sequence
from quipu.engine.speculation import Speculation


class Share(NamedTuple):
    """What one sequence computes in one step: its next `size` tokens, and drafted ones behind."""

    sequence: Sequence
    size: int
    draft: Sequences[int] = ()


class Scheduler:
    """Decides the shares of each step and moves pages accordingly."""

    def __init__(
        self,
        pages: Pages,
        *,
        tokens_per_step: int,
        max_sequences: int,
        speculation: Speculation | None = None,
    ) -> None:
        assert tokens_per_step >= 1
        assert max_sequences >= 1
        self.pages = pages
        self.tokens_per_step = tokens_per_step
        self.max_sequences = max_sequences
        self.speculation = speculation
        self.waiting: list[Sequence] = []  # by arrival
        self.running: list[Sequence] = []  # by arrival
        self.preemptions = 0
        self.weighed = False  # whether drafts were asked for in the last step

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence that fits the pages when it runs alone."""
        insort(self.waiting, sequence, key=_arrival)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence that has ended or was cancelled, and free its pages."""
        if sequence in self.running:
            self.running.remove(sequence)
        else:
            self.waiting.remove(sequence)
        self._release(sequence)

    def schedule(self) -> list[Share]:
        """Choose the shares of the next step; pages for their tokens are allotted."""
        self._grow()
        self._admit()
        shares = []
        budget = self.tokens_per_step
        for sequence in sorted(self.running, key=_lacks_more):
            size = min(sequence.remaining, budget)
            if size:
                shares.append(Share(sequence, size))
                budget -= size
        drafts = None
        speculation, self.weighed = self.speculation, False
        if speculation is not None and speculation.is_due() and _may_speculate(shares):
            self.weighed = True
            drafts = speculation.drafts([share.sequence for share in shares], budget)
        if drafts is None:
            return shares
        return [
            Share(sequence, size, self._house(sequence, draft))
            for (sequence, size, _), draft in zip(shares, drafts, strict=True)
        ]

    def commit(self, shares: list[Share]) -> None:
        """Record that the shares have been computed, and remember the pages they filled."""
        for sequence, size, _ in shares:
            self._advance(sequence, size)

    def accept(self, sequence: Sequence, count: int) -> None:
        """Record that `count` drafted tokens are now the sequence's; of the rest nothing stays."""
        self._advance(sequence, count)
        used = self.pages.count_for(sequence.computed)
        self.pages.release(sequence.pages[used:])
        del sequence.pages[used:]

    def _advance(self, sequence: Sequence, count: int) -> None:
        before = sequence.computed // self.pages.page_size
        sequence.computed += count
        sequence.prefilled |= sequence.computed >= sequence.prompt_length
        after = sequence.computed // self.pages.page_size
        if after > before:
            extend_chain(sequence.digests, sequence.tokens, self.pages.page_size)
            for position in range(before, after):
                self.pages.remember(sequence.pages[position], sequence.digests[position])

    def _house(self, sequence: Sequence, draft: list[int]) -> list[int]:
        """As much of a draft as there are pages for, without taking them from anybody."""
        length = len(sequence.tokens)
        missing = self.pages.count_for(length + len(draft)) - len(sequence.pages)
        if missing > 0:
            sequence.pages.extend(self.pages.allocate(min(missing, self.pages.available)))
        return draft[: len(sequence.pages) * self.pages.page_size - length]

    def _grow(self) -> None:
        """Give each running sequence the page its next token needs, oldest first."""
        position = 0
        while position < len(self.running):
            sequence = self.running[position]
            missing = self.pages.count_for(len(sequence.tokens)) - len(sequence.pages)
            while missing > self.pages.available and sequence in self.running:
                self._preempt(self.running[-1])
            if sequence in self.running:
                sequence.pages.extend(self.pages.allocate(missing))
            position += 1

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._release(sequence)
        self.preemptions += 1
        self.add(sequence)

    def _release(self, sequence: Sequence) -> None:
        self.pages.release(sequence.pages)
        sequence.pages = array("i")
        sequence.computed = 0

    def _admit(self) -> None:
        """Start waiting sequences, oldest first, while tokens, seats and pages last.

        Each running one lacks a token at least, so all of them have a share of every step.
        """
        if not self.waiting:
            return
        budget = self.tokens_per_step - sum(sequence.remaining for sequence in self.running)
        for sequence in list(self.waiting):
            if budget <= 0 or len(self.running) >= self.max_sequences:
                return
            if sequence.leader is not None and not sequence.leader.prefilled:
                continue  # its prompt is being computed by the leader: the cache will have it
            if not self._allot(sequence):
                return  # nobody overtakes, so that a long prompt is not put off for ever
            self.waiting.remove(sequence)
            insort(self.running, sequence, key=_arrival)
            budget -= sequence.remaining

    def _allot(self, sequence: Sequence) -> bool:
        """Give a waiting sequence pages for all its tokens, cached ones first, or nothing."""
        page_size = self.pages.page_size
        extend_chain(sequence.digests, sequence.tokens, page_size)
        # The last token is always computed: its logits choose the next one.
        reusable = 0 if sequence.scored else (len(sequence.tokens) - 1) // page_size
        cached = self.pages.take_prefix(sequence.digests[:reusable])
        missing = self.pages.count_for(len(sequence.tokens)) - len(cached)
        # A page in reserve for each running sequence keeps the newcomer from being put out at once.
        if missing + len(self.running) > self.pages.available:
            self.pages.release(cached)
            return False
        sequence.pages = array("i", cached + self.pages.allocate(missing))
        sequence.computed = len(cached) * page_size
        if sequence.cached is None:
            sequence.cached = sequence.computed
        return True


def _may_speculate(shares: list[Share]) -> bool:
    """Whether each share is the last token of its sequence, with an answer to come."""
    return all(size == 1 == s.remaining and not s.scored for s, size, _ in shares) and bool(shares)


def _arrival(sequence: Sequence) -> int:
    return sequence.arrival


def _lacks_more(sequence: Sequence) -> bool:
    return sequence.remaining > 1
