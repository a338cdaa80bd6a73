"""Page allocation: reference counts, prefix reuse, and a brute-force twin."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quipu.engine.pages import Pages, extend_chain

PAGE = 2


def digests(tokens):
    found = []
    extend_chain(found, tokens, PAGE)
    return found


def test_a_chain_has_one_hash_per_full_page():
    assert [len(digests(range(n))) for n in range(6)] == [0, 0, 1, 1, 2, 2]


def test_a_hash_covers_everything_before_its_page():
    one, other = digests([1, 2, 3, 4]), digests([9, 2, 3, 4])
    assert one[1] != other[1]


def test_a_chain_grows_as_if_made_at_once():
    grown = []
    for length in range(12):
        extend_chain(grown, list(range(length)), PAGE)
    assert grown == digests(list(range(11)))


def test_a_freed_prefix_is_found_again_until_its_page_is_needed():
    pages = Pages(3, PAGE)
    chain = digests([1, 2, 3, 4])
    taken = pages.allocate(2)
    for page, digest in zip(taken, chain, strict=True):
        pages.remember(page, digest)
    pages.release(taken)
    assert pages.take_prefix(chain) == taken
    pages.release(taken)
    pages.allocate(2)  # the free page, then the least useful cached one: the end of the prefix
    assert pages.take_prefix(chain) == taken[:1]


def test_the_longest_unused_prefix_is_given_away_first():
    pages = Pages(2, PAGE)
    old, new = digests([1, 2]), digests([3, 4])
    for chain in (old, new):
        (page,) = pages.allocate(1)
        pages.remember(page, chain[0])
        pages.release([page])
    pages.release(pages.take_prefix(old))  # used again: now the younger one
    pages.allocate(1)
    assert pages.take_prefix(new) == []
    assert len(pages.take_prefix(old)) == 1


class Twin:
    """What Pages promises, computed the slow way from the list of everything that happened."""

    def __init__(self, num_pages):
        self.references = dict.fromkeys(range(num_pages), 0)
        self.content = {}  # page -> prefix of tokens, for remembered pages
        self.released = []  # pages in order of their last release

    def find(self, prefix):
        return next((page for page, tokens in self.content.items() if tokens == prefix), None)

    def idle(self):
        return [
            page for page in self.released if not self.references[page] and page in self.content
        ]

    def forget_for(self, page):
        """Check that it was right to hand `page` out, and forget what it held."""
        assert self.references[page] == 0
        if page in self.content:
            unused = [p for p, n in self.references.items() if n == 0]
            assert all(p in self.content for p in unused), "an empty page was there"
            assert page == self.idle()[0], "not the longest unused"
            del self.content[page]
        self.references[page] = 1

    def release(self, page):
        self.references[page] -= 1
        if page in self.released:
            self.released.remove(page)
        self.released.append(page)


class PagesMachine(RuleBasedStateMachine):
    """Sequences come, remember full pages, and go; Pages and the twin must agree throughout."""

    def __init__(self):
        super().__init__()
        self.pages, self.twin = Pages(6, PAGE), Twin(6)
        self.sequences = []  # (tokens, pages)

    @rule(tokens=st.lists(st.integers(0, 1), min_size=1, max_size=8))
    def start(self, tokens):
        chain = digests(tokens)
        expected = []
        for count in range(1, len(chain) + 1):
            page = self.twin.find(tuple(tokens[: count * PAGE]))
            if page is None:
                break
            expected.append(page)
        cached = self.pages.take_prefix(chain)
        assert cached == expected
        for page in cached:
            self.twin.references[page] += 1
        missing = self.pages.count_for(len(tokens)) - len(cached)
        if missing > self.pages.available:
            self.give_back(cached)
            return
        fresh = self.pages.allocate(missing)
        assert len(set(fresh)) == missing
        for page in fresh:
            self.twin.forget_for(page)
        self.sequences.append((tokens, cached + fresh))

    @precondition(lambda self: self.sequences)
    @rule(data=st.data())
    def fill(self, data):
        tokens, pages = data.draw(st.sampled_from(self.sequences))
        for number, digest in enumerate(digests(tokens)):
            self.pages.remember(pages[number], digest)
            prefix = tuple(tokens[: (number + 1) * PAGE])
            if self.twin.find(prefix) is None and pages[number] not in self.twin.content:
                self.twin.content[pages[number]] = prefix

    @precondition(lambda self: self.sequences)
    @rule(data=st.data())
    def finish(self, data):
        position = data.draw(st.integers(0, len(self.sequences) - 1))
        self.give_back(self.sequences.pop(position)[1])

    def give_back(self, pages):
        self.pages.release(pages)
        for page in reversed(pages):
            self.twin.release(page)

    @invariant()
    def the_same_pages_are_available(self):
        assert self.pages.available == sum(n == 0 for n in self.twin.references.values())

    @invariant()
    def every_page_of_a_sequence_is_referenced(self):
        for page, count in self.twin.references.items():
            assert count == sum(page in pages for _, pages in self.sequences)


PagesMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestPagesEqualTheTwin = PagesMachine.TestCase
