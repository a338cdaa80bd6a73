"""Samples are those that encoding their texts gives, wherever they are cut."""

import functools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
from quipu.data.loading.facts import Facts
from quipu.data.loading.infilling import Arranger, Slice
from quipu.data.loading.mixture import Infilling
from quipu.errors import AbilityError
from quipu.text import infill
from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer

ODD = ["def ", "  ", "    ", " ", "\t", "\r\n", "\n", "▁", "▁▁", "é", "e\u0301", "☺", "🦙", "𝒳"]
ODD += ["return", "value", "step_1", "1234", "(", ")", "\0", "ﬁ", "<PRE>", "<s>", " <MID>", "漢字"]
TEXTS = st.lists(st.sampled_from(ODD) | st.text(max_size=4), max_size=40).map("".join)
ROOM = 10**6


@functools.cache
def facts(tokenizer: Tokenizer) -> Facts:
    return Facts(tokenizer)


@functools.cache
def without_space() -> Tokenizer:
    """A vocabulary that puts no dummy space before a text."""
    from quipu.text.sentencepiece_model import with_dummy_prefix

    model = with_dummy_prefix(small.tokenizer_model(), False)
    return Tokenizer.from_files({"tokenizer.model": model})


@functools.cache
def without_boundaries() -> Tokenizer:
    """A vocabulary of which nothing is proved."""
    tokenizer = Tokenizer.from_files({"tokenizer.model": small.tokenizer_model()})
    tokenizer._pieces.joined = None
    return tokenizer


def whole(tokenizer, text, number=5, spans=()):
    """A slice that is all of a document."""
    ids = np.array(tokenizer.encode(text), dtype=np.uint16)
    spans = np.array(spans, dtype=np.int32).reshape(-1, 2)
    return Slice(ids, number, 0, True, lambda: ids[:0], lambda: spans)


def split(tokenizer, text, number, spans=()):
    """Two slices of a document, cut at a character that no token holds inside."""
    ids = np.array(tokenizer.encode(text), dtype=np.uint16)
    spans = np.array(spans, dtype=np.int32).reshape(-1, 2)
    place = next(
        place
        for place in range(number % len(ids) + 1, len(ids) + 1)
        if place == len(ids) or tokenizer.token_bytes[ids[place]][0] & 0xC0 != 0x80
    )
    halves = [(0, place), (place, len(ids))] if place < len(ids) else [(0, len(ids))]
    slices = [
        Slice(ids[a:b], number, a, b == len(ids), lambda a=a: ids[:a], lambda: spans)
        for a, b in halves
    ]
    texts = [
        tokenizer.decode(ids[a:b].tolist(), dummy_prefix=tokenizer.adds_space and a == 0)
        for a, b in halves
    ]
    return slices, texts


def ids_of(sample):
    return [int(i) for piece in sample.pieces for i in piece]


def parts_of(tokenizer, sample):
    """Prefix, middle and suffix of an infilling sample; in SPM order all before the cut."""
    ids, special = ids_of(sample), tokenizer.infill
    assert ids[:2] == [tokenizer.bos_id, special.pre]
    assert ids[-1] == special.eot
    suf, mid = ids.index(special.suf), ids.index(special.mid)
    suffix = tokenizer.decode(ids[suf + 1 : mid], dummy_prefix=False)
    if sample.kind == "spm":
        return "", tokenizer.decode(ids[mid + 1 : -1]), suffix
    middle = tokenizer.decode(ids[mid + 1 : -1], dummy_prefix=False)
    return tokenizer.decode(ids[2:suf]), middle, suffix


def twin(tokenizer, sample, text, ends):
    """What encoding the texts of a sample gives."""
    if sample.kind == "plain":
        end = [tokenizer.eos_id] if ends else []
        return [tokenizer.bos_id, *tokenizer.encode(text), *end]
    prefix, middle, suffix = parts_of(tokenizer, sample)
    assert prefix + middle + suffix == text
    return infill.document(tokenizer, prefix, middle, suffix, sample.kind)


@pytest.mark.parametrize("vocabulary", [small.tokenizer, without_space, without_boundaries])
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_samples_are_those_of_the_slow_way(vocabulary, rate):
    tokenizer = vocabulary()

    @settings(max_examples=120, deadline=None)
    @given(TEXTS.filter(bool), st.integers(0, 2**31), st.integers(0, 5))
    def check(text, number, seed):
        arranger = Arranger(tokenizer, facts(tokenizer), Infilling(rate=rate), seed)
        slices, texts = split(tokenizer, text, number)
        whole_too = [*slices, whole(tokenizer, text, number + 1)]
        samples = arranger.samples(whole_too, 3, ROOM)
        for sample, source, its in zip(samples, whole_too, [*texts, text], strict=True):
            assert ids_of(sample) == twin(tokenizer, sample, its, source.ends)
            assert (sample.kind == "plain") == (rate == 0)

    check()


@settings(max_examples=60, deadline=None)
@given(TEXTS.filter(bool), st.data())
def test_a_stretch_of_syntax_becomes_the_middle(text, data):
    tokenizer = small.tokenizer()
    ends = [0, *np.cumsum([len(c.encode()) for c in text]).tolist()]
    first = data.draw(st.integers(0, len(text) - 1))
    last = data.draw(st.integers(first + 1, len(text)))
    spans = [(ends[first], ends[last]), (ends[last], ends[last]), (0, ends[-1] + 1)]
    arranger = Arranger(tokenizer, facts(tokenizer), Infilling(rate=1.0, spm=0.0, syntax=1.0), 1)
    (sample,) = arranger.samples([whole(tokenizer, text, spans=spans)], 0, ROOM)
    wanted = (text[:first], text[first:last], text[last:])
    assert ids_of(sample) == infill.document(tokenizer, *wanted, "psm")


def test_syntax_is_looked_for_within_the_part_alone():
    tokenizer = small.tokenizer()
    text = "aé = 1\n" * 3 + "def ☺f():\n    return 1\n"
    begin = text.index("return")
    span = (len(text[:begin].encode()), len(text.encode()) - 1)
    how = Infilling(rate=1.0, spm=0.0, syntax=1.0)
    for number in range(40):
        slices, texts = split(tokenizer, text, number, [span])
        samples = Arranger(tokenizer, facts(tokenizer), how, 0).samples(slices, 0, ROOM)
        middles = [parts_of(tokenizer, sample)[1] for sample in samples]
        inside = [(t, m) for t, m in zip(texts, middles, strict=True) if t.endswith("return 1\n")]
        assert all(middle == "return 1" for _, middle in inside)
        assert all(
            "".join(parts_of(tokenizer, s)) == t for s, t in zip(samples, texts, strict=True)
        )


@settings(max_examples=60, deadline=None)
@given(TEXTS.filter(bool), st.integers(0, 2**31), st.integers(0, 5))
def test_the_rest_of_a_line_becomes_the_middle(text, number, seed):
    tokenizer = small.tokenizer()
    slices, texts = split(tokenizer, text, number)
    how = Infilling(rate=1.0, spm=0.0, lines=1.0)
    samples = Arranger(tokenizer, facts(tokenizer), how, seed).samples(slices, 0, ROOM)
    for sample, its, source in zip(samples, texts, slices, strict=True):
        assert ids_of(sample) == twin(tokenizer, sample, its, source.ends)
        prefix, middle, suffix = parts_of(tokenizer, sample)
        if its.strip():
            assert middle.endswith("\n") or suffix[:1] in ("", "\n")
            assert middle.removesuffix("\n").count("\n") <= 4
            assert (prefix.rpartition("\n")[2] + middle.partition("\n")[0]).strip()


def test_lines_begin_and_end_as_editors_ask_for_them():
    tokenizer, text = small.tokenizer(), "a = 1\n    bc = 2\n"
    slices = [whole(tokenizer, text, number) for number in range(3000)]
    how = Infilling(rate=1.0, spm=0.0, lines=1.0)
    samples = Arranger(tokenizer, facts(tokenizer), how, 0).samples(slices, 0, ROOM)
    middles = Counter(parts_of(tokenizer, sample)[1] for sample in samples)
    for whole_line in ("a = 1", "a = 1\n", "    bc = 2", "    bc = 2\n", "bc = 2", "bc = 2\n"):
        assert middles[whole_line] > 90  # an eighth of 3000 or less, by where it begins and ends
    assert middles["= 2"] > 5
    assert middles[" 1\n    bc = 2"] > 5


def test_shares_are_those_of_the_recipe():
    tokenizer, text = small.tokenizer(), small.source(1)
    slices = [whole(tokenizer, text, number) for number in range(4000)]
    arranger = Arranger(tokenizer, facts(tokenizer), Infilling(rate=0.9, spm=0.3), 2)
    counts = Counter(sample.kind for sample in arranger.samples(slices, 0, ROOM))
    assert abs(counts["plain"] - 400) < 80
    assert abs(counts["spm"] / (counts["spm"] + counts["psm"]) - 0.3) < 0.03


def test_cuts_are_uniform_over_characters():
    tokenizer, text = small.tokenizer(), "é" * 10 + "abcdefghij"
    slices = [whole(tokenizer, text, number) for number in range(4000)]
    arranger = Arranger(tokenizer, facts(tokenizer), Infilling(rate=1.0, spm=0.0), 2)
    samples = arranger.samples(slices, 0, ROOM)
    cuts = Counter()
    for sample in samples:
        prefix, middle, _ = parts_of(tokenizer, sample)
        cuts[len(prefix)] += 1
        cuts[len(prefix) + len(middle)] += 1
    assert set(cuts) == set(range(21))
    assert all(abs(count - 8000 / 21) < 100 for count in cuts.values())


def test_a_sample_depends_on_its_key_alone():
    tokenizer = small.tokenizer()
    slices = [whole(tokenizer, small.source(number), number) for number in range(9)]
    arranger = Arranger(tokenizer, facts(tokenizer), Infilling(rate=0.5), 7)
    together = [ids_of(sample) for sample in arranger.samples(slices, 1, ROOM)]
    alone = [ids_of(arranger.samples([source], 1, ROOM)[0]) for source in reversed(slices)]
    assert together == alone[::-1]
    assert together != [ids_of(sample) for sample in arranger.samples(slices, 2, ROOM)]


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=5), st.integers(0, 99))
def test_what_does_not_fit_stays_plain_and_loses_nothing(texts, seed):
    tokenizer = small.tokenizer()
    slices = [whole(tokenizer, text, number) for number, text in enumerate(texts)]
    least = sum(len(source.ids) + 2 for source in slices)
    arranger = Arranger(tokenizer, facts(tokenizer), Infilling(rate=1.0), seed)
    for room in (least, least + 4, least + 9):
        samples = arranger.samples(slices, 0, room)
        assert sum(len(ids_of(sample)) for sample in samples) <= room
        for sample, text in zip(samples, texts, strict=True):
            assert ids_of(sample) == twin(tokenizer, sample, text, True)


def test_a_vocabulary_that_cannot_infill_is_refused_only_if_it_should():
    data = train_tokenizer([small.source(3)], 340)
    tokenizer = Tokenizer.from_files({"tokenizer.model": data})
    tokenizer.infill = None
    Arranger(tokenizer, facts(tokenizer), Infilling(rate=0.0), 0)
    with pytest.raises(AbilityError, match="no infilling tokens"):
        Arranger(tokenizer, facts(tokenizer), Infilling(rate=0.1), 0)
