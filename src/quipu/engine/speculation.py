"""Speculation: how many drafted tokens a step should verify beside the ones that are due.

The next tokens of a sequence often stood somewhere before (`ngrams`). A step can carry such a draft
behind the sequence's last token and choose a token at each of its rows; as long as the choice
is the drafted one, the row after it is valid too. The tokens are those that would have been chosen
one by one, so only speed is at stake, and this file decides about speed:

- Chances: how often the foretold token is the right one, by the length of the match before it. This
  is seen at every token, drafted or not, so it costs nothing to know.
- Costs: seconds of a step by its number of rows, measured as steps go by.
- Ledger: seconds saved beside the same tokens one by one. While it shows a loss beyond a small
  share of the time spent, nothing is drafted: a wrong estimate cannot cost more than that.

A small model takes a tenth of a millisecond for a step. So a sequence is followed only once what
its index takes to build is little beside the answer so far, and where no drafts are found they are
not looked for at each step.
"""

from collections.abc import Sequence as Sequences
from itertools import accumulate

from quipu.engine.ngrams import Drafter, Texts
from quipu.engine.sequence import Sequence

LONGEST = 31  # drafted tokens of one sequence
STORE_TOKENS = 1 << 16  # of finished texts
# Drafts of a step, all sequences together: few sizes, so that each is measured often. With the last
# token of one sequence they make even numbers of rows, which kernels like.
SIZES = (1, 2, 3, 5, 7, 11, 15, 23, 31, 47, 63)

_RUNGS = (0, 0, 1, 2, 3, 3, 3, 3, *[4] * 8, *[5] * 16, 6)  # by matched tokens, the last for more
_FIRST_CHANCES = (0.3, 0.3, 0.45, 0.6, 0.8, 0.9, 0.95)  # of each rung, before anything is known
_CHANCE_WEIGHT = 4.0  # predictions that a first chance counts for
_CHANCE_MEMORY = 1 - 1 / 64
_LEAST_CHANCE = 0.1  # of a whole draft; longer ones are not looked at

_COST_RISE, _COST_FALL = 0.2, 0.4  # weight of a new measurement: what disturbs only ever adds
_COST_OUTLIER, _FIRST_OUTLIER = 2.0, 6.0  # times what is known or guessed: more is not the step's
_ROW_COST = 0.05  # of a step, for each row beyond those measured
_COST_LIFE, _FIRST_LIFE = 512, 128  # steps until a cost, or one measured once, is in doubt
_PLAIN_LIFE = 32  # the same for steps without drafts, what all else is compared with

_INDEX_S = 0.3e-6  # about what it takes to index a token
_INDEX_SHARE = 0.02  # of the time that an answer has taken
_PATIENCE, _LONGEST_SLEEP = 4, 12  # looks without a draft before steps are slept through; steps

_LEAST_GAIN = 1.1  # expected speed-up below which a draft is not worth the risk
_LEDGER_MEMORY = 1 - 1 / 1024
_LOSS_ALLOWED = 0.01  # of the time spent


class Chances:
    """How often the foretold token is the right one, by the length of the match before it."""

    def __init__(self) -> None:
        self._tries = [_CHANCE_WEIGHT] * len(_FIRST_CHANCES)
        self._hits = [_CHANCE_WEIGHT * chance for chance in _FIRST_CHANCES]

    def record(self, run: int, hit: bool) -> None:
        """Take in one prediction."""
        rung = _RUNGS[min(run, len(_RUNGS) - 1)]
        self._tries[rung] = self._tries[rung] * _CHANCE_MEMORY + 1
        self._hits[rung] = self._hits[rung] * _CHANCE_MEMORY + hit

    def chain(self, run: int, longest: int) -> list[float]:
        """Chances that 1, 2, … drafted tokens are right, up to `longest` of them."""
        found: list[float] = []
        chance = 1.0
        for ahead in range(run, run + longest):
            rung = _RUNGS[min(ahead, len(_RUNGS) - 1)]
            chance *= self._hits[rung] / self._tries[rung]
            if chance < _LEAST_CHANCE:
                break
            found.append(chance)
        return found


class Costs:
    """Seconds of a step by its rows."""

    def __init__(self) -> None:
        self._steps = 0
        self._known: dict[int, float] = {}  # rows: seconds
        self._until: dict[int, int] = {}  # rows: number of the step from which that is in doubt
        self._measured = 0  # step of the last one without drafts

    def record(self, rows: int, plain: int, seconds: float) -> float:
        """Take in a step, with `plain` of its rows not drafted. Returns seconds less hiccups."""
        self._steps += 1
        if rows == plain:
            self._measured = self._steps
        if self._in_doubt(rows):
            if rows > plain and plain in self._known:
                seconds = min(seconds, _FIRST_OUTLIER * self.estimate(rows, plain))
            self._known[rows] = seconds
            self._until[rows] = self._steps + _FIRST_LIFE
            return seconds
        known = self._known[rows]
        seconds = min(seconds, _COST_OUTLIER * known)
        self._known[rows] += (_COST_RISE if seconds > known else _COST_FALL) * (seconds - known)
        self._until[rows] = self._steps + _COST_LIFE
        return seconds

    def plain(self, rows: int) -> float | None:
        """Seconds of a step without drafts; None if it is time to measure one."""
        late = self._in_doubt(rows) or self._steps - self._measured > _PLAIN_LIFE
        return None if late else self._known[rows]

    def reach(self, plain: int) -> int:
        """Rows up to which an estimate may be tried: no more than about twice what is known."""
        return 2 * max(self._sure(plain), default=plain) + 2

    def estimate(self, rows: int, plain: int) -> float:
        """Seconds of a step of `rows`, by those measured from `plain` rows on."""
        if not self._in_doubt(rows):
            return self._known[rows]
        sure = self._sure(plain)
        below = max((r for r in sure if r < rows), default=plain)
        above = min((r for r in sure if r > rows), default=None)
        low = max(self._known[plain], self._known[below])
        if above is None:
            return low * (1 + _ROW_COST * (rows - below))
        share = (rows - below) / (above - below)
        return low + share * max(0.0, self._known[above] - low)

    def _sure(self, plain: int) -> list[int]:
        return [rows for rows in self._known if rows >= plain and not self._in_doubt(rows)]

    def _in_doubt(self, rows: int) -> bool:
        return self._steps >= self._until.get(rows, 0)


class Speculation:
    """Drafts for the sequences of an engine. Counts what was drafted and what of it was right."""

    def __init__(self) -> None:
        self.drafted = 0
        self.accepted = 0
        self._texts = Texts(STORE_TOKENS)
        self._chances = Chances()
        self._costs = Costs()
        self._spent = 0.0  # seconds of late
        self._saved = 0.0
        self._fruitless = 0  # looks since the last draft
        self._slept = 0  # steps since the last look

    def is_due(self) -> bool:
        """Whether it is time to ask for drafts. Call it once a step."""
        if self._slept < min(self._fruitless - _PATIENCE, _LONGEST_SLEEP):
            self._slept += 1
            return False
        return True

    def drafts(self, sequences: Sequences[Sequence], spare: int) -> list[list[int]] | None:
        """Tokens to verify behind each sequence's last one, `spare` altogether at most.

        Call it when it is due, in a step in which each sequence computes just its last token, and
        `record` after the step. None: no drafts.
        """
        self._fruitless += 1
        if self._saved < -_LOSS_ALLOWED * self._spent:
            return None
        plain = self._costs.plain(len(sequences))
        if plain is None:
            return None
        chains = [self._chain(sequence, plain) for sequence in sequences]
        ranked = [(chance, at) for at, chain in enumerate(chains) for chance in chain]
        if not ranked:
            return None
        ranked.sort(reverse=True)
        size = self._size(len(sequences), plain, [chance for chance, _ in ranked[:spare]])
        if not size:
            return None
        self._fruitless = 0
        counts = [0] * len(sequences)
        for _, at in ranked[:size]:
            counts[at] += 1
        return [
            sequence.drafter.draft(count) if count and sequence.drafter else []
            for sequence, count in zip(sequences, counts, strict=True)
        ]

    def record(self, sequences: int, rows: int, tokens: int, seconds: float) -> None:
        """Take in a step for which `drafts` was asked: its rows, and the tokens it brought."""
        drafted = rows - sequences
        self.drafted += drafted
        self.accepted += tokens - sequences if drafted else 0
        seconds = self._costs.record(rows, sequences, seconds)
        self._spent = self._spent * _LEDGER_MEMORY + seconds * (1 + self._slept)
        self._slept = 0
        self._saved *= _LEDGER_MEMORY
        if drafted:
            plain = self._costs.estimate(sequences, sequences)
            self._saved += tokens / sequences * plain - seconds

    def learn(self, tokens: Sequences[int]) -> None:
        """Keep a text to draft from: a finished answer and its prompt, or a file at hand."""
        self._texts.add(tokens)

    def _chain(self, sequence: Sequence, plain: float) -> list[float]:
        """Chances of a draft of the sequence; none if it is not worth to look."""
        drafter = sequence.drafter
        if drafter is None:
            answered = len(sequence.tokens) - sequence.prompt_length
            work = _INDEX_S * (len(sequence.tokens) + self._texts.behind)
            if work > _INDEX_SHARE * plain * answered:
                return []
            self._texts.update()
            drafter = sequence.drafter = Drafter(sequence.tokens, self._texts)
            self._fruitless = 0
        for run, hit in drafter.advance():
            self._chances.record(run, hit)
        # The last token of an answer need not be drafted: its own step chooses it anyway.
        left = sequence.prompt_length + sequence.limit - len(sequence.tokens) - 1
        return self._chances.chain(drafter.run, min(left, LONGEST)) if drafter.run else []

    def _size(self, sequences: int, plain: float, chances: list[float]) -> int:
        """How many drafted tokens, likeliest first, give the most tokens a second."""
        expected = list(accumulate(chances))
        best, best_speed = 0, _LEAST_GAIN * sequences / plain
        largest = min(len(chances), self._costs.reach(sequences) - sequences)
        for size in SIZES:
            if size > largest:
                break
            seconds = self._costs.estimate(sequences + size, sequences)
            speed = (sequences + expected[size - 1]) / seconds
            if speed > best_speed:
                best, best_speed = size, speed
        return best
