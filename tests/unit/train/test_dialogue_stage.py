"""A stage of dialogues trains, resumes and exports like any other, and its model chats."""

from dataclasses import replace

import pytest
import torch

import quipu
import small
from quipu.checkpoint.opening import open_checkpoint
from quipu.data.loading.dialogues import DialogueLoader
from quipu.data.loading.mixture import DialogueRecipe, Dialogues, Infilling, Source
from quipu.errors import DataError
from quipu.train import start, stored
from quipu.train.export import export
from quipu.train.loop import Machine, open_rows, train
from quipu_recipes import code_llama

MACHINE = Machine(compiled=False, save_every_s=1e9, tensorboard=False)
DATA = DialogueRecipe(
    dialogues=(Dialogues(weight=0.8),),
    sources=(Source(group="python", weight=0.2),),
    row_tokens=128,
    infilling=Infilling(rate=0.5),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = small.dialogues(tmp_path_factory.mktemp("corpus"))
    small.corpus(folder / "tokens")
    return folder


def recipe(steps=8, **changed):
    model = replace(small.MODEL, context=128)
    return small.recipe(steps, name="instruct", model=model, data=DATA, **changed)


def run(recipe, folder, corpus, until=0):
    return list(train(recipe, folder, corpus, MACHINE, until=until))


def test_it_learns_and_resumes_to_the_bit_and_its_model_chats(tmp_path, corpus):
    whole = run(recipe(30), tmp_path / "whole", corpus)
    assert whole[-1].loss < 0.7 * whole[0].loss
    broken = run(recipe(30), tmp_path / "broken", corpus, until=11)
    broken += run(recipe(30), tmp_path / "broken", corpus)
    assert [p.loss for p in whole] == [p.loss for p in broken]
    one, other = (dict(start.whole_weights(tmp_path / name)) for name in ("whole", "broken"))
    assert all(torch.equal(one[name], other[name]) for name in one)

    assert stored.recipe_of(tmp_path / "whole") == recipe(30)
    export(tmp_path / "whole", tmp_path / "model")
    abilities = open_checkpoint(tmp_path / "model").abilities
    assert (abilities.chat, abilities.infill) == ("inst", True)
    with quipu.load(str(tmp_path / "model")) as llm:
        answer = llm.chat([{"role": "user", "content": "Add 1 to value, 0 times."}], max_tokens=4)
        assert answer.token_ids


def test_the_corpus_may_be_named_by_its_shards(corpus):
    rows = open_rows(recipe(), corpus / "tokens")
    assert isinstance(rows, DialogueLoader)
    assert rows.identity == open_rows(recipe(), corpus).identity


def test_dialogues_alone_need_a_tokenizer_and_no_shards(tmp_path):
    folder = small.dialogues(tmp_path)
    (folder / "tokenizer.model").write_bytes(small.tokenizer_model())
    alone = small.recipe(2, data=DialogueRecipe(row_tokens=64, dialogues=(Dialogues(weight=1.0),)))
    assert run(alone, tmp_path / "run", folder)[-1].step == 2


def test_changed_dialogues_are_refused(tmp_path, corpus):
    run(recipe(), tmp_path / "run", corpus, until=1)
    other = small.dialogues(tmp_path / "other", count=11)
    small.corpus(other / "tokens")
    with pytest.raises(DataError, match="other data"):
        run(recipe(), tmp_path / "run", other)


def test_a_corpus_without_dialogues_is_refused(tmp_path):
    small.corpus(tmp_path / "corpus" / "tokens")
    with pytest.raises(DataError, match="put dialogues into"):
        run(recipe(), tmp_path / "run", tmp_path / "corpus")


@pytest.mark.parametrize("size", code_llama.NAMES)
def test_code_llama_is_tuned_on_dialogues_and_some_code_and_language(size):
    stage = code_llama.chain(size, "instruct").stages[-1]
    assert isinstance(stage.data, DialogueRecipe)
    assert sum(one.weight for one in stage.data.dialogues) == 0.92
    code = [one.weight for one in stage.data.sources if one.group in code_llama.CODE]
    assert sum(code) == pytest.approx(0.06)
    assert sum(one.weight for one in stage.data.sources) == pytest.approx(0.08)
    assert stage.data.format == ("source" if size == "70b" else "inst")
    assert (stage.data.infilling.rate > 0) == (size != "34b")
