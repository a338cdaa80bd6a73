"""Held-out text is measured by the model as it is, and lines are written greedily and exactly."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import small
import token_shards
from quipu.data.loading.row import NO_TARGET
from quipu.errors import DataError, UsageError
from quipu.llm import load
from quipu.model.attend import single_document
from quipu.text.healing import PrefixConstraint, heal
from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer
from quipu.train import evaluate as measuring
from quipu.train import start
from quipu.train.decoding import greedy
from quipu.train.evaluate import How, evaluate, loaded, share, token_losses
from quipu.train.export import export
from quipu.train.held_out import HeldOut, fitted, packed
from quipu.train.loop import Machine, train

HOW = How(row_tokens=64, rows=6, lines=4)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small.corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def held_out(corpus):
    return HeldOut.open(corpus)


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    machine = Machine(compiled=False, save_every_s=1e9, tensorboard=False)
    for _ in train(small.recipe(40), folder, corpus, machine):
        pass
    return folder


@pytest.fixture(scope="module")
def model(run):
    return loaded(small.MODEL, start.whole_weights(run), "cpu", "float32")


def passages(held_out, tokenizer=None, **changed):
    values = {"row_tokens": 64, "rows": 99, "joined": False, "seed": 0} | changed
    return list(held_out.passages("python", tokenizer or small.tokenizer(), **values))


def text_of(tokens, tokenizer):
    return b"".join(tokenizer.token_bytes[token.id] for token in tokens)


def test_passages_cover_every_held_out_byte_once(held_out):
    found = passages(held_out)
    expected = "".join(small.source(i) for i in (21, 22, 23)).encode()
    assert sum(token.bytes for passage in found for token in passage) == len(expected)
    assert all(len(passage) <= 65 for passage in found)
    assert all(passage[0].begins and passage[0].bytes == 0 for passage in found)


def test_rows_hold_passages_whole_and_no_target_reaches_beyond_one(held_out):
    found = passages(held_out)
    rows = list(packed(found, 64))
    counted = sum(int((row.row.targets_T != NO_TARGET).sum()) for row in rows)
    assert counted == sum(len(passage) - 1 for passage in found)
    assert sum(int(row.bytes_T.sum()) for row in rows) == sum(t.bytes for p in found for t in p)
    bos = small.tokenizer().bos_id
    for scored in rows:
        assert not (scored.row.targets_T == bos).any()
        starts = np.flatnonzero(scored.row.tokens_T == bos)
        assert (scored.row.positions_T[starts] == 0).all()


def test_joined_files_of_a_package_see_each_other(tmp_path):
    texts = [token_shards.Text(small.source(i), package=7) for i in range(1, 4)]
    token_shards.write(tmp_path, small.tokenizer(), {"held-out-python": texts})
    (tmp_path / "tokenizer.model").write_bytes(small.tokenizer_model())
    held_out = HeldOut.open(tmp_path)
    whole = passages(held_out, row_tokens=4096, joined=True)
    assert len(whole) == 1
    assert sum(token.begins for token in whole[0]) == 3
    (scored,) = packed(whole, 4096)
    eos = np.flatnonzero(scored.row.tokens_T == small.tokenizer().eos_id)
    assert len(eos) == 2
    assert (scored.row.targets_T[eos] == NO_TARGET).all()
    assert len(passages(held_out, row_tokens=4096)) == 3


def test_another_tokenizer_is_asked_about_the_same_text(held_out):
    other = Tokenizer.from_files(
        {"tokenizer.model": train_tokenizer(["x = 1\n", "def f(): pass\n"], 280)}
    )
    for joined in (False, True):
        ours = passages(held_out, joined=joined)
        theirs = passages(held_out, other, joined=joined)
        assert len(theirs) > len(ours)  # its tokens are shorter
        assert all(len(passage) <= 65 for passage in theirs)
        assert sum(t.bytes for p in theirs for t in p) == sum(t.bytes for p in ours for t in p)
    first = b"".join(text_of(p, other) for p in passages(held_out, other, rows=1))
    assert first.strip() == text_of(passages(held_out, rows=1)[0], small.tokenizer()).strip()


def test_losses_are_those_of_the_model_document_by_document(held_out, model):
    found = passages(held_out)[:3]
    rows = list(packed(found, 256))
    assert len(rows) == 1
    nats = token_losses(model, rows[0].row)
    place = 0
    for passage in found:
        ids = torch.tensor([token.id for token in passage])
        logits = model(ids[:-1], torch.arange(len(ids) - 1), single_document(len(ids) - 1))
        expected = F.cross_entropy(logits, ids[1:], reduction="none")
        part = nats[place : place + len(passage) - 1]
        assert part == pytest.approx(expected.numpy(), abs=1e-4)
        place += len(passage) - 1
    assert not nats[place:].any()


def test_findings_add_up(held_out, model):
    found = evaluate(model, small.tokenizer(), held_out, HOW, infills=True)
    source = found.sources["python"]
    assert source.tokens == sum(stretch.tokens for stretch in found.by_position)
    nats = sum(stretch.loss * stretch.tokens for stretch in found.by_position)
    assert nats / source.tokens == pytest.approx(source.loss)
    assert found.by_position[0].first == found.by_position[0].last == 0
    assert [s.first for s in found.by_position[1:]] == [1, 2, 4, 8, 16, 32]
    assert 0 < source.bits_per_byte < 8
    assert {o: e.lines for o, e in found.infilling["python"].items()} == {"psm": 4, "spm": 4}
    assert source.by_position == found.by_position  # there is no other source


def test_groups_are_those_that_are_asked_for(held_out, model):
    how = replace(HOW, lines=0, groups=("python",))
    found = evaluate(model, small.tokenizer(), held_out, how, infills=False)
    assert found.sources.keys() == {"python"}
    wrong = replace(how, groups=("cobol",))
    with pytest.raises(UsageError, match=r"cobol.*python"):
        evaluate(model, small.tokenizer(), held_out, wrong, infills=False)


def test_findings_are_the_same_again_and_other_with_another_seed(held_out, model):
    how = replace(HOW, rows=2)
    once, again = (evaluate(model, small.tokenizer(), held_out, how, infills=True) for _ in "ab")
    assert once == again
    others = [
        evaluate(model, small.tokenizer(), held_out, replace(HOW, rows=1, seed=seed), infills=False)
        for seed in range(6)
    ]
    assert len({other.sources["python"] for other in others}) > 1
    assert all(other.infilling == {} for other in others)


def test_losses_are_those_of_the_engine(run, tmp_path):
    whole = small.source(21)
    export(run, tmp_path / "model")
    ids = [small.tokenizer().bos_id, *small.tokenizer().encode(whole)][:60]
    with load(tmp_path / "model", "torch", dtype="float32") as llm:
        nats = -float(llm.score(ids).sum())
    rounded = loaded(small.MODEL, start.whole_weights(tmp_path / "model"), "cpu", "float32")
    logits = rounded(torch.tensor(ids[:-1]), torch.arange(59), single_document(59))
    assert nats == pytest.approx(F.cross_entropy(logits, torch.tensor(ids[1:])).item() * 59, 1e-4)


def test_answers_side_by_side_are_those_of_each_alone_and_of_no_memory(model):
    prompts = [small.tokenizer().encode(text) for text in ("def step_1", "    for", "x")]
    never = [lambda ids: len(ids) == 6] * 3
    together = greedy(model, prompts, never, limit=6, constraints=[None] * 3)
    for prompt, answer in zip(prompts, together, strict=True):
        assert [answer] == greedy(model, [prompt], never[:1], limit=6, constraints=[None])
        ids = list(prompt)
        for expected in answer:
            logits = model(torch.tensor(ids), torch.arange(len(ids)), single_document(len(ids)))
            assert int(logits[-1].argmax()) == expected
            ids.append(expected)


def test_a_healed_answer_begins_with_what_was_cut(model):
    tokenizer = small.tokenizer()
    cuts = [small.source(3)[:size] for size in range(20, 90)]
    healed = [heal(tokenizer, [tokenizer.bos_id, *tokenizer.encode(cut)]) for cut in cuts]
    ids, forced = next(pair for pair in healed if pair[1])
    constraint = PrefixConstraint(tokenizer, forced)
    (answer,) = greedy(model, [ids], [lambda _: False], limit=8, constraints=[constraint])
    assert b"".join(tokenizer.token_bytes[i] for i in answer).startswith(forced)


def test_infilling_asks_as_the_command_does(held_out, run, tmp_path):
    export(run, tmp_path / "model")
    rounded = loaded(small.MODEL, start.whole_weights(tmp_path / "model"), "cpu", "float32")
    gaps = measuring.chosen_gaps(held_out, "python", small.tokenizer(), HOW)
    assert len(gaps) == 4
    with load(tmp_path / "model", "torch", dtype="float32") as llm:
        for order in ("psm", "spm"):
            ours = list(measuring.filled(rounded, small.tokenizer(), gaps, order, 16))
            theirs = [
                llm.infill(g.before, g.after, order=order, max_tokens=16, stop="\n").text.strip()
                for g in gaps
            ]
            # The engine does not count the tokens that healing forces.
            assert [t.startswith(o) for o, t in zip(ours, theirs, strict=True)] == [True] * 4
            assert ours != [""] * 4


def test_gaps_take_a_line_each_and_put_it_back_to_the_text(held_out):
    texts = {small.source(i) for i in (21, 22, 23)}
    gaps = [gap for gap, _ in zip(held_out.gaps("python", seed=3), range(9), strict=False)]
    for gap in gaps:
        assert gap.before + gap.line + gap.after in texts
        assert len(gap.line) >= 8
    assert len({gap.before for gap in gaps}) == 9
    assert {g.before + g.line + g.after for g in gaps[:3]} == texts  # one of each first


def test_a_gap_is_cut_to_whole_lines_that_fit(held_out):
    gap = next(iter(held_out.gaps("python", seed=3)))
    tokenizer = small.tokenizer()
    near = fitted(gap, tokenizer, 40)
    assert near is not None
    assert gap.before.endswith(near.before)
    assert gap.after.startswith(near.after)
    after = tokenizer.encode(near.after, dummy_prefix=False)
    assert 10 < len(tokenizer.encode(near.before)) + len(after) <= 40
    assert fitted(gap, tokenizer, 0) is None
    whole = fitted(gap, tokenizer, 100_000)
    assert whole == gap


def test_an_interval_is_wilsons():
    found = share(19, 300)
    assert (found.low, found.high) == (
        pytest.approx(0.0409, abs=1e-4),
        pytest.approx(0.0967, abs=1e-4),
    )
    assert share(0, 10).low == 0.0
    assert share(10, 10).high == pytest.approx(1.0)
    assert 0.2 < share(0, 10).high < 0.3


def test_the_mixture_is_measured_in_training_rows(held_out, model, corpus):
    from quipu.train.loop import open_rows

    rows = open_rows(small.recipe(), corpus)
    how = replace(HOW, lines=0)
    found = evaluate(
        model, small.tokenizer(), held_out, how, infills=False, trained_on=(rows, 64)
    ).mixture
    assert found is not None
    assert found.perplexity == pytest.approx(math.exp(found.loss))
    chosen = [rows.row(64 * i // 6) for i in range(6)]
    assert found.tokens == sum(int((row.targets_T != NO_TARGET).sum()) for row in chosen)


def test_a_corpus_that_holds_nothing_out_is_refused(tmp_path):
    texts = [token_shards.Text(small.source(1))]
    token_shards.write(tmp_path, small.tokenizer(), {"python": texts})
    (tmp_path / "tokenizer.model").write_bytes(small.tokenizer_model())
    with pytest.raises(DataError, match="holds nothing out"):
        HeldOut.open(tmp_path)


def test_wrong_numbers_are_refused():
    with pytest.raises(UsageError, match="rows; got -1"):
        How(row_tokens=64, rows=-1)
    with pytest.raises(UsageError, match="row_tokens"):
        How(row_tokens=3)
