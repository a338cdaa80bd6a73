"""Parts, infilling and packing lose nothing, repeat nothing and depend on no order of calls."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import small
from quipu.data.documents import Document
from quipu.data.packing import NO_TARGET, Infilling, Part, pack, parts, sample

TEXTS = st.text(st.sampled_from("ab \n\t)é☺def:"), max_size=400)


def _middle_layout(tokenizer, ids, spm):
    """Prefix, middle and suffix of an infilling sample, read back from its tokens."""
    infill = tokenizer.infill
    assert ids[0] == tokenizer.bos_id
    assert ids[1] == infill.pre
    assert ids[-1] == infill.eot
    suf, mid = ids.index(infill.suf), ids.index(infill.mid)
    suffix = tokenizer.decode(ids[suf + 1 : mid], dummy_prefix=False)
    if spm:  # prefix and middle are one string
        return "", tokenizer.decode(ids[mid + 1 : -1]), suffix
    prefix = tokenizer.decode(ids[2:suf])
    return prefix, tokenizer.decode(ids[mid + 1 : -1], dummy_prefix=False), suffix


@given(TEXTS, st.integers(6, 80))
def test_parts_concatenate_to_the_document(text, characters):
    found = list(parts(Document(id="d", text=text), characters))
    assert "".join(part.text for part in found) == text
    assert [part.ends for part in found] == [False] * (len(found) - 1) + [True] * bool(found)
    assert len({part.id for part in found}) == len(found)


def test_parts_are_cut_between_functions():
    document = Document(id="d", text=small.source(3) * 4)
    for part in list(parts(document, 600))[1:]:
        assert part.text.startswith("def ")


def test_a_line_longer_than_a_part_stays_whole():
    found = list(parts(Document(id="d", text="x" * 100 + "\ny\n"), 12))
    assert "".join(part.text for part in found) == "x" * 100 + "\ny\n"


@settings(max_examples=60)
@given(TEXTS.filter(bool), st.integers(0, 10**6), st.sampled_from([0.0, 1.0]))
def test_prefix_middle_and_suffix_are_the_document(text, seed, spm):
    tokenizer = small.tokenizer()
    part = Part(id="d#0", text=text, ends=True)
    ids = sample(tokenizer, part, Infilling(rate=1.0, spm=spm), (seed, 0), longest=10_000)
    assert "".join(_middle_layout(tokenizer, ids, spm == 1.0)) == text


def test_a_middle_is_never_cut():
    tokenizer, part = small.tokenizer(), Part(id="d#0", text=small.source(3), ends=True)
    how = Infilling(rate=1.0)
    whole = sample(tokenizer, part, how, (1, 0), longest=10_000)
    assert whole[-1] == tokenizer.infill.eot
    cut = sample(tokenizer, part, how, (1, 0), longest=len(whole) - 1)
    assert not {*cut} & {tokenizer.infill.mid, tokenizer.infill.eot}


def test_a_plain_sample_ends_with_eos_only_at_the_end_of_its_file():
    tokenizer, how = small.tokenizer(), Infilling(rate=0.0)
    ends = [
        sample(tokenizer, Part(id="d", text="x = 1\n", ends=e), how, (1,), 99)[-1] for e in (0, 1)
    ]
    assert ends[1] == tokenizer.eos_id != ends[0]


def test_a_sample_depends_on_its_key_not_on_what_came_before():
    tokenizer, how = small.tokenizer(), Infilling(rate=0.5)
    chosen = [Part(id=f"d#{i}", text=small.source(i), ends=True) for i in range(12)]
    forward = [sample(tokenizer, p, how, (7, 0), 500) for p in chosen]
    backward = [sample(tokenizer, p, how, (7, 0), 500) for p in reversed(chosen)]
    assert forward == backward[::-1]
    assert forward != [sample(tokenizer, p, how, (7, 1), 500) for p in chosen]


def test_the_shares_of_infilling_and_of_each_order_are_those_of_the_recipe():
    tokenizer, how = small.tokenizer(), Infilling(rate=0.5, spm=0.5)
    text = small.source(1)
    samples = [
        sample(tokenizer, Part(id=f"d#{i}", text=text, ends=True), how, (1,), 999)
        for i in range(1000)
    ]
    infilled = [ids for ids in samples if tokenizer.infill.mid in ids]
    spm = [ids for ids in infilled if ids[2] == tokenizer.infill.suf]
    assert 430 < len(infilled) < 570
    assert 0.4 < len(spm) / len(infilled) < 0.6


@given(st.lists(st.integers(1, 32), min_size=1, max_size=80))
def test_packing_loses_and_repeats_no_token(lengths):
    samples = [[1000 * number + i for i in range(n)] for number, n in enumerate(lengths)]
    rows = list(pack(samples, 32, open_rows=4))
    found = []
    for row in rows:
        for number in range(row.document_T.max() + 1):
            where = np.flatnonzero(row.document_T == number)
            assert (np.diff(where) == 1).all()
            assert (row.positions_T[where] == np.arange(len(where))).all()
            assert (row.targets_T[where][:-1] == row.tokens_T[where][1:]).all()
            assert row.targets_T[where][-1] == NO_TARGET
            found.append(row.tokens_T[where].tolist())
        padding = row.document_T == -1
        assert (row.targets_T[padding] == NO_TARGET).all()
    assert sorted(found) == sorted(samples)
