"""Who owns which page of the key/value memory, and which pages hold a prefix seen before.

A page holds keys and values of `page_size` tokens in a row. A full page is remembered under a hash
of its tokens and of everything before them, so that a later sequence with the same beginning takes
it over. Remembered pages that nobody uses are given away last, the longest unused first.
"""

import hashlib
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence


def extend_chain(digests: list[bytes], tokens: Sequence[int], page_size: int) -> None:
    """Append to `digests` the hash of every full page of `tokens` that it lacks.

    Each hash covers the page's tokens and, through the hash before it, all earlier ones.
    """
    for start in range(len(digests) * page_size, len(tokens) - page_size + 1, page_size):
        parent = digests[-1] if digests else b""
        page = array("q", tokens[start : start + page_size]).tobytes()
        digests.append(hashlib.blake2b(parent + page, digest_size=16).digest())


class Pages:
    """Allocates pages with reference counts. Holds numbers only, never keys or values."""

    def __init__(self, num_pages: int, page_size: int) -> None:
        assert num_pages >= 1
        assert page_size >= 1
        self.num_pages = num_pages
        self.page_size = page_size
        self._references = [0] * num_pages
        self._free = deque(range(num_pages))  # nobody's, nothing worth keeping in them
        self._idle: OrderedDict[int, None] = OrderedDict()  # remembered, unused; oldest first
        self._page_of: dict[bytes, int] = {}
        self._digest_of: dict[int, bytes] = {}

    @property
    def available(self) -> int:
        """Pages that `allocate` can hand out."""
        return len(self._free) + len(self._idle)

    def count_for(self, tokens: int) -> int:
        """Pages that hold `tokens` tokens."""
        return -(-tokens // self.page_size)

    def allocate(self, count: int) -> list[int]:
        """Hand out `count` pages with one reference each; at most `available`."""
        assert 0 <= count <= self.available
        return [self._allocate_one() for _ in range(count)]

    def _allocate_one(self) -> int:
        if self._free:
            page = self._free.popleft()
        else:
            page, _ = self._idle.popitem(last=False)
            del self._page_of[self._digest_of.pop(page)]
        self._references[page] = 1
        return page

    def take_prefix(self, digests: Iterable[bytes]) -> list[int]:
        """Take a reference on each page of the longest remembered beginning of `digests`."""
        taken = []
        for digest in digests:
            page = self._page_of.get(digest)
            if page is None:
                break
            self._idle.pop(page, None)
            self._references[page] += 1
            taken.append(page)
        return taken

    def remember(self, page: int, digest: bytes) -> None:
        """Let later sequences find a full page in use. The first page of a digest stays."""
        assert self._references[page] > 0
        if digest not in self._page_of and page not in self._digest_of:
            self._page_of[digest] = page
            self._digest_of[page] = digest

    def release(self, pages: Sequence[int]) -> None:
        """Give back one reference on each page of one sequence, in the sequence's order."""
        # Last page first: the end of a prefix is useless without its beginning, so it goes first.
        for page in reversed(pages):
            self._references[page] -= 1
            assert self._references[page] >= 0, f"page {page} released twice"
            if self._references[page] == 0:
                if page in self._digest_of:
                    self._idle[page] = None
                else:
                    self._free.append(page)
