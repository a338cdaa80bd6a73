"""Rows hold every token of an epoch once, and depend on nothing but their number."""

import hashlib
import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
import token_shards
from quipu.data.loading.describe import describe
from quipu.data.loading.mixture import Infilling, LoaderRecipe, Source
from quipu.data.loading.row import NO_TARGET
from quipu.data.loading.rows import Loader
from quipu.errors import DataError, UsageError
from token_shards import Text

PLAIN, ALL = Infilling(rate=0.0), Infilling(rate=1.0)
LINES = st.sampled_from(
    ["def f(x):\n", "    return x\n", "\n", "é☺🦙", "a" * 30, "x = 1\r\n", "  "]
)
TEXTS = st.lists(st.lists(LINES, max_size=60).map("".join), min_size=1, max_size=25)


def corpus(folder, texts, **options):
    """Shards of one group; every three documents share a package."""
    documents = [Text(text, package=number // 3) for number, text in enumerate(texts)]
    return token_shards.write(folder, small.tokenizer(), {"python": documents}, **options)


def loader(shards, *, row_tokens=64, infilling=PLAIN, seed=0, block_rows=4, **source):
    sources = (Source(group="python", **source),)
    recipe = LoaderRecipe(sources=sources, row_tokens=row_tokens, infilling=infilling, seed=seed)
    return Loader(shards, small.tokenizer(), recipe, block_rows=block_rows)


def epoch(rows_of, number=0):
    """Epoch, stretches and row for each row of an epoch of the only source."""
    stream = rows_of._streams[0]
    count = stream.plan.epoch_rows
    for row in range(number * count, (number + 1) * count):
        yield stream, stream.plan.at(row)[1], stream.row(row)


def assert_well_formed(row):
    """Positions and documents of a row are what attention needs; targets what comes next."""
    for number in range(row.document_T.max() + 1):
        where = np.flatnonzero(row.document_T == number)
        assert (np.diff(where) == 1).all()
        assert (row.positions_T[where] == np.arange(len(where))).all()
        assert row.targets_T[where][-1] == NO_TARGET
        trained = row.targets_T[where][:-1] != NO_TARGET
        assert (row.targets_T[where][:-1] == row.tokens_T[where][1:])[trained].all()
        (begins,) = np.nonzero(row.tokens_T[where][1:] == small.tokenizer().bos_id)
        assert np.flatnonzero(~trained).tolist() == begins.tolist()
    padding = row.document_T == -1
    assert (row.targets_T[padding] == NO_TARGET).all()
    assert not padding[: int((~padding).sum())].any()


def samples_of(row):
    """Ids of each sample of a row."""
    held = row.tokens_T[row.document_T >= 0].tolist()
    begins = [i for i, token in enumerate(held) if token == small.tokenizer().bos_id]
    return [held[a:b] for a, b in itertools.pairwise([*begins, len(held)])]


def readings(ids):
    """Texts that a sample may stand for: after an empty prefix the order is not told by its ids."""
    tokenizer = small.tokenizer()
    special = tokenizer.infill
    if ids[1] != special.pre:
        return {tokenizer.decode(ids), tokenizer.decode(ids, dummy_prefix=False)}
    assert ids[-1] == special.eot
    suf, mid = ids.index(special.suf), ids.index(special.mid)
    prefix = tokenizer.decode(ids[2:suf])
    suffix = tokenizer.decode(ids[suf + 1 : mid], dummy_prefix=False)
    middle = ids[mid + 1 : -1]
    psm = prefix + tokenizer.decode(middle, dummy_prefix=False) + suffix
    spm = tokenizer.decode(middle) + suffix
    return {psm} if prefix else {psm, spm}


def assert_complete(rows_of, texts, number=0, dropped=()):
    """Every token of every document is in an epoch once, and its text comes back from rows."""
    seen, found = Counter(), defaultdict(dict)
    for stream, stretches, row in epoch(rows_of, number):
        assert_well_formed(row)
        seen.update(token for stretch in stretches for token in range(*stretch))
        slices = [source for stretch in stretches for source in stream.slices(stretch)]
        for source, ids in zip(slices, samples_of(row), strict=True):
            text = small.tokenizer().decode(source.ids.tolist(), dummy_prefix=source.start == 0)
            assert text in readings(ids)
            found[source.number][source.start] = text
            last = {small.tokenizer().eos_id, small.tokenizer().infill.eot}
            assert (ids[-1] in last) or not source.ends
            assert small.tokenizer().eos_id not in ids[:-1]
    assert set(seen.values()) <= {1}
    assert len(seen) == rows_of._streams[0].axis.bounds[-1]
    texts_found = {n: "".join(parts[s] for s in sorted(parts)) for n, parts in found.items()}
    assert texts_found == {
        100 + n: text for n, text in enumerate(texts) if text and 100 + n not in dropped
    }


@settings(max_examples=60, deadline=None)
@given(
    TEXTS.filter(any),
    st.sampled_from([PLAIN, ALL, Infilling(rate=0.5, spm=0.2)]),
    st.integers(32, 200),
    st.booleans(),
    st.integers(0, 3),
)
def test_an_epoch_holds_every_token_once(tmp_path_factory, texts, how, row_tokens, packages, seed):
    shards = corpus(tmp_path_factory.mktemp("shards"), texts)
    options = {"infilling": how, "row_tokens": row_tokens, "seed": seed, "packages": packages}
    assert_complete(loader(shards, **options), texts, number=seed)


@pytest.mark.parametrize("how", [PLAIN, ALL])
@pytest.mark.parametrize("length", [1, 3, 29, 61, 62, 63, 64, 65, 200])
def test_lengths_that_fit_badly_lose_nothing(tmp_path, how, length):
    texts = ["x" * length] * 40 + ["🦙" * length] * 3
    assert_complete(loader(corpus(tmp_path, texts), infilling=how, row_tokens=64), texts)


def test_dropped_documents_are_in_no_row(tmp_path):
    texts = [small.source(number) for number in range(20)]
    dropped = [100, 104, 105, 119, 7]
    shards = corpus(tmp_path, texts, dropped=dropped)
    for packages in (False, True):
        assert_complete(loader(shards, packages=packages), texts, dropped=dropped)


def test_every_epoch_has_its_own_order_and_cuts(tmp_path):
    rows_of = loader(corpus(tmp_path, map(small.source, range(20))), infilling=ALL, epochs=2)
    first, second = ([row.tokens_T.tolist() for *_, row in epoch(rows_of, n)] for n in (0, 1))
    assert len(first) == len(second) == rows_of.rows_total / 2
    assert not {tuple(row) for row in first} & {tuple(row) for row in second}


def test_rows_are_nearly_full(tmp_path):
    texts = [small.source(number) * (1 + number % 7) for number in range(150)]
    shards = corpus(tmp_path, texts)
    for how, most in ((PLAIN, 0.05), (Infilling(rate=0.9), 0.07)):
        rows_of = loader(shards, infilling=how, row_tokens=512, block_rows=64)
        rows = [row for *_, row in epoch(rows_of)]
        padding = np.mean([(row.document_T < 0).mean() for row in rows])
        assert padding < most
        assert all((row.document_T >= 0).any() for row in rows)


@pytest.mark.parametrize("packages", [False, True])
def test_a_row_depends_on_its_number_alone(tmp_path, packages):
    shards = corpus(tmp_path, [small.source(number) for number in range(30)])
    options = {"infilling": Infilling(rate=0.5), "epochs": 3, "packages": packages}
    unbroken = loader(shards, **options)
    forward = [unbroken.row(index).tokens_T.tolist() for index in range(unbroken.rows_total)]
    for index in (len(forward) - 1, 0, len(forward) // 2):
        assert loader(shards, **options).row(index).tokens_T.tolist() == forward[index]
    again = loader(shards, **options)
    backward = [again.row(index).tokens_T.tolist() for index in reversed(range(len(forward)))]
    assert backward[::-1] == forward


def mixed(folder, **options):
    """A loader of two groups."""
    groups = {
        "python": [Text(small.source(number)) for number in range(20)],
        "prose": [Text(f"So it is, {number} times.\n" * 9) for number in range(20)],
        "empty": [Text("")],
    }
    shards = token_shards.write(folder, small.tokenizer(), groups)
    sources = (Source(group="python", weight=3), Source(group="prose", weight=0.5))
    recipe = LoaderRecipe(sources=sources, row_tokens=128, seed=1)
    return shards, Loader(shards, small.tokenizer(), recipe, **options)


def test_ranks_and_micro_batches_interleave_to_one_sequence(tmp_path):
    shards, reference = mixed(tmp_path)
    wanted = [reference.row(index) for index in range(96)]
    for world, per_rank in itertools.product((1, 2, 4), (1, 2, 3, 8)):
        batch_rows = world * per_rank
        ranks = [Loader(shards, small.tokenizer(), reference.recipe) for _ in range(world)]
        found = []
        for step in range(96 // batch_rows):
            batches = [each.batch(step, batch_rows, rank, world) for rank, each in enumerate(ranks)]
            rows = [batch.tokens_T.reshape(per_rank, -1) for batch in batches]
            found += [row.tolist() for of_all in zip(*rows, strict=True) for row in of_all]
        assert found == [row.tokens_T.tolist() for row in wanted]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 60), st.integers(1, 5), st.integers(1, 5))
def test_a_resumed_run_equals_an_unbroken_one(tmp_path_factory, stop, rows_before, rows_after):
    # The state is the number of rows seen: even another batch size goes on from there.
    folder = tmp_path_factory.mktemp("shards")
    shards, unbroken = mixed(folder)
    step = stop // rows_before
    resumed = Loader(shards, small.tokenizer(), unbroken.recipe)
    resumed.check(unbroken.identity)
    row = step * rows_before
    for index in range(row, row + rows_after):
        for field in ("tokens_T", "targets_T", "positions_T", "document_T"):
            there = getattr(resumed.row(index), field)
            assert (there == getattr(unbroken.row(index), field)).all()


def test_weights_hold_over_the_run(tmp_path):
    _, rows_of = mixed(tmp_path)
    texts = [small.tokenizer().decode(rows_of.row(i).tokens_T.tolist()) for i in range(700)]
    assert abs(sum("So it" in text for text in texts) - 100) <= 25


def test_files_of_one_package_follow_each_other_in_order_and_see_each_other(tmp_path):
    texts = [f"name = {number}\n" * 3 for number in range(12)]
    shards = corpus(tmp_path, texts, shard_documents=12)
    for joined in (True, False):
        rows_of = loader(shards, row_tokens=512, packages=True, joined=joined)
        (row,) = [row for *_, row in epoch(rows_of)]
        assert row.document_T.max() + 1 == (4 if joined else 12)
        packs = [
            small.tokenizer().decode(samples_of_document(row, number)[0])
            + "".join(small.tokenizer().decode(ids) for ids in samples_of_document(row, number)[1:])
            for number in range(row.document_T.max() + 1)
        ]
        wanted = ["".join(texts[i : i + 3]) for i in range(0, 12, 3)] if joined else texts
        assert sorted(packs) == sorted(wanted)


def samples_of_document(row, number):
    held = row.tokens_T[row.document_T == number].tolist()
    begins = [i for i, token in enumerate(held) if token == small.tokenizer().bos_id]
    return [held[a:b] for a, b in itertools.pairwise([*begins, len(held)])]


def test_a_long_document_is_cut_between_functions(tmp_path):
    text = "".join(small.source(number) for number in range(40))
    rows_of = loader(corpus(tmp_path, [text]), row_tokens=1024)
    begins = [
        small.tokenizer().decode(ids) for *_, row in epoch(rows_of) for ids in samples_of(row)
    ]
    assert all(begin.startswith(("def ", "   ")) for begin in begins)
    assert sum(begin.startswith("def ") for begin in begins) > 0.7 * len(begins)


def test_the_end_of_a_run_is_said(tmp_path):
    rows_of = loader(corpus(tmp_path, [small.source(1)] * 5), epochs=1.5)
    assert rows_of.rows_total == int(1.5 * rows_of.epoch_rows[0])
    with pytest.raises(UsageError, match="no such row"):
        rows_of.row(rows_of.rows_total)
    with pytest.raises(UsageError, match="no such row"):
        rows_of.row(-1)
    with pytest.raises(UsageError, match="cannot be shared out"):
        rows_of.batch(0, 3, 0, 2)


def test_a_group_that_is_missing_or_empty_says_so(tmp_path):
    shards, _ = mixed(tmp_path)

    def opened(*sources):
        return Loader(shards, small.tokenizer(), LoaderRecipe(sources=sources, row_tokens=64))

    with pytest.raises(DataError, match="no group java"):
        opened(Source(group="java"))
    with pytest.raises(UsageError, match="no text"):
        opened(Source(group="empty", weight=1))
    with pytest.raises(UsageError, match="no text"):
        opened(Source(group="empty"))
    beside = opened(Source(group="empty"), Source(group="prose"))
    assert beside.rows_total == beside.epoch_rows[1]


def test_a_changed_corpus_is_told_apart_in_words(tmp_path):
    texts = [small.source(number) for number in range(9)]
    before = loader(corpus(tmp_path / "a", texts))
    same = loader(corpus(tmp_path / "b", texts))
    assert same.fingerprint == before.fingerprint
    same.check(before.identity)
    less = loader(corpus(tmp_path / "c", texts[:8]))
    assert less.fingerprint != before.fingerprint
    with pytest.raises(DataError, match=r"group python: \d+ tokens, 9 documents.* -> .*8 docu"):
        less.check(before.identity)
    dropped = loader(corpus(tmp_path / "d", texts, dropped=[103]))
    with pytest.raises(DataError, match=r"dropped: 0 documents.* -> 1 documents"):
        dropped.check(before.identity)
    with pytest.raises(DataError, match="row_tokens: 64 -> 65"):
        loader(corpus(tmp_path / "a", texts), row_tokens=65).check(before.identity)


def test_a_row_is_described_for_people(tmp_path):
    tokenizer = small.tokenizer()
    texts = [small.source(number) for number in range(30)]
    rows_of = loader(corpus(tmp_path, texts), infilling=Infilling(rate=0.5), row_tokens=512)
    kinds = Counter()
    for *_, row in epoch(rows_of):
        segments = describe(row, tokenizer)
        kinds.update(segment.kind for segment in segments)
        for number, ids in enumerate(samples_of(row)):
            its = [segment for segment in segments if segment.document == number]
            text = {segment.kind: segment.text for segment in its}
            order = ("plain", "prefix", "middle", "suffix")
            assert "".join(text.get(kind, "") for kind in order) in readings(ids)
    assert set(kinds) == {"plain", "prefix", "middle", "suffix", "special", "padding"}


def test_the_rows_of_a_recipe_never_change(tmp_path):
    # The vocabulary is trained anew by whatever library is there: what must hold are the places.
    rows_of = loader(corpus(tmp_path, ["x" * 40] * 9), infilling=Infilling(), seed=3)
    rows = [row for *_, row in epoch(rows_of)]
    digest = hashlib.sha256(b"".join(row.document_T.tobytes() for row in rows)).hexdigest()
    assert (len(rows), digest[:16]) == (10, "9ba47f96b970a05e")
