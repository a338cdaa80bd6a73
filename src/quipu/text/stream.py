"""Text of an answer while its tokens arrive: whole characters, nothing a stop string may cut."""

import codecs
from collections import deque
from collections.abc import Sequence

from quipu.text.tokenizer import Tokenizer


class TextStream:
    """Turns token ids into text that is safe to show, a constant amount of work for each token.

    Pieces of `push` and `finish` concatenate to `decode(ids, dummy_prefix=False)`, less the
    `forced` bytes and, with `drop_space`, one space at the start; cut before the stop string that
    is complete first (of several that end together, before the longest). Bytes that are not UTF-8
    become U+FFFD. What differs from `forced` is not cut.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        stop: Sequence[str] = (),
        forced: bytes = b"",
        drop_space: bool = False,
    ) -> None:
        self.stopped = False  # a stop string has been met; no more text will come
        self._token_bytes = tokenizer.token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._forced = forced
        self._drop_space = drop_space
        self._stops = _StopStrings(stop) if stop else None
        self._held = ""  # text that may be the beginning of a stop string

    def push(self, token_id: int) -> str:
        """Text that is safe to show now that `token_id` has come; often empty, never half."""
        assert token_id >= 0
        data = self._without_forced(self._token_bytes[token_id])
        return self._release(self._decoder.decode(data))

    def push_text(self, text: str) -> str:
        """Text that is safe to show now that `text` has come, where there are no tokens."""
        return self._release(text)

    def finish(self) -> str:
        """The rest of the text, when no token comes any more."""
        text = self._release(self._decoder.decode(b"", final=True))
        held, self._held = self._held, ""
        return text + held

    def _without_forced(self, data: bytes) -> bytes:
        if not self._forced:
            return data
        if self._forced.startswith(data):
            self._forced = self._forced[len(data) :]
            return b""
        rest = data.removeprefix(self._forced)
        self._forced = b""
        return rest

    def _release(self, text: str) -> str:
        if self.stopped or not text:
            return ""
        if self._drop_space:
            self._drop_space = False
            text = text.removeprefix(" ")
        if self._stops is None:
            return text
        text, self._held, self.stopped = self._stops.scan(self._held, text)
        return text


class _StopStrings:
    """Automaton of Aho and Corasick: one step a character, however many stop strings there are.

    A state is a beginning of some stop string, the longest that the text so far ends with.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._depth = [0]  # characters of the state
        self._found = [0]  # length of the longest stop string that ends here, 0 for none
        for stop in stops:
            self._add(stop)
        self._fail = [0] * len(self._next)
        self._link()
        self._state = 0

    def scan(self, held: str, text: str) -> tuple[str, str, bool]:
        """Text to show, text to hold back, and whether a stop string is complete."""
        state = self._state
        for position, character in enumerate(text, 1):
            while state and character not in self._next[state]:
                state = self._fail[state]
            state = self._next[state].get(character, 0)
            if self._found[state]:
                seen = held + text[:position]
                return seen[: len(seen) - self._found[state]], "", True
        self._state = state
        seen = held + text
        border = len(seen) - self._depth[state]
        return seen[:border], seen[border:], False

    def _add(self, stop: str) -> None:
        state = 0
        for character in stop:
            if character not in self._next[state]:
                self._next[state][character] = len(self._next)
                self._next.append({})
                self._depth.append(self._depth[state] + 1)
                self._found.append(0)
            state = self._next[state][character]
        self._found[state] = len(stop)

    def _link(self) -> None:
        """Tie each state to the longest shorter state that it ends with, nearest the root first."""
        queue = deque(self._next[0].values())
        while queue:
            state = queue.popleft()
            self._found[state] = self._found[state] or self._found[self._fail[state]]
            for character, child in self._next[state].items():
                shorter = self._fail[state]
                while shorter and character not in self._next[shorter]:
                    shorter = self._fail[shorter]
                self._fail[child] = self._next[shorter].get(character, 0)
                queue.append(child)
