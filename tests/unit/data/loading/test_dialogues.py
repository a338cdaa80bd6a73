"""Rows hold every dialogue once an epoch, and train its answers and their ends alone."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
import token_shards
from quipu.data.loading.dialogues import DialogueLoader, folder_of
from quipu.data.loading.mixture import DialogueRecipe, Dialogues, Infilling, Source
from quipu.data.loading.row import NO_TARGET
from quipu.errors import AbilityError, DataError, UsageError
from quipu.text import chat
from quipu.text.chat import Message
from quipu.text.tokenizer import Tokenizer
from token_shards import Text
from unit.text.vocabularies import handmade_model

STEPPING = Tokenizer.from_files({"tokenizer.model": handmade_model(["<step>"])})
CONTENTS = st.text(alphabet=st.sampled_from("ab (\n\té🦙<"), max_size=30).map(lambda s: s + "x")
TALKS = st.lists(
    st.tuples(
        st.none() | CONTENTS,
        st.lists(st.tuples(CONTENTS, CONTENTS), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=12,
)


def messages_of(system, turns):
    found = [] if system is None else [{"role": "system", "content": system}]
    for asked, answer in turns:
        found += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return found


def write(folder, talks, name="talks"):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"messages": messages}) + "\n" for messages in talks]
    (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


def loader(folder, tokenizer=None, shards=None, **options):
    recipe = DialogueRecipe(**({"row_tokens": 128} | options))
    return DialogueLoader(folder, tokenizer or small.tokenizer(), recipe, shards)


def samples_of(row):
    """Ids of each document of a row, and which of them are targets."""
    for number in range(row.document_T.max() + 1):
        where = np.flatnonzero(row.document_T == number)
        assert (np.diff(where) == 1).all()
        assert (row.positions_T[where] == np.arange(len(where))).all()
        ids, targets = row.tokens_T[where].tolist(), row.targets_T[where]
        assert targets[-1] == NO_TARGET
        trained = targets[:-1] != NO_TARGET
        assert (targets[:-1] == row.tokens_T[where][1:])[trained].all()
        yield tuple(ids), (False, *trained.tolist())


def twin(tokenizer, talks, format, room):
    """What an epoch must hold, by trying every length."""
    for talk in talks:
        messages = [Message(**message) for message in talk]
        found = [
            chat.document(tokenizer, messages[:end], format)
            for end, message in enumerate(messages, 1)
            if message.role == "assistant"
        ]
        fit = [(tuple(ids), tuple(trained)) for ids, trained in found if len(ids) <= room]
        yield from fit[-1:]


@settings(max_examples=60, deadline=None)
@given(
    TALKS, st.sampled_from(["inst", "source"]), st.sampled_from([64, 150, 400]), st.integers(0, 2)
)
def test_every_epoch_holds_each_dialogue_once_as_the_chat_format_has_it(
    tmp_path_factory, talks, format, room, seed
):
    talks = [messages_of(*talk) for talk in talks]
    wanted = Counter(twin(STEPPING, talks, format, room))
    folder = write(tmp_path_factory.mktemp("talks"), talks)
    if not wanted:
        with pytest.raises(DataError, match="first answer ends beyond a row"):
            loader(folder, STEPPING, row_tokens=room, format=format)
        return
    rows_of = loader(folder, STEPPING, row_tokens=room, format=format, seed=seed)
    (count,) = rows_of.epoch_rows
    stream = rows_of._streams[0]
    for epoch in (0, 3):
        rows = [stream.row(epoch * count + place) for place in range(count)]
        assert Counter(sample for row in rows for sample in samples_of(row)) == wanted
        for row in rows:
            padding = row.document_T == -1
            assert (row.targets_T[padding] == NO_TARGET).all()
            assert not padding[: int((~padding).sum())].any()


def test_only_answers_and_their_ends_are_trained(tmp_path):
    small.dialogues(tmp_path)
    rows_of = loader(tmp_path / "dialogues")
    tokenizer = small.tokenizer()
    trained, texts = Counter(), []
    for index in range(rows_of.rows_total):
        targets = rows_of.row(index).targets_T
        trained.update(targets.tolist())
        texts.append(tokenizer.decode(targets[targets != NO_TARGET].tolist(), dummy_prefix=False))
    answers = [
        m["content"] for i in range(12) for m in small.conversation(i) if m["role"] == "assistant"
    ]
    assert trained[tokenizer.eos_id] == len(answers)
    assert trained[tokenizer.bos_id] == 0
    assert sorted("".join(texts).replace("  ", "\n").strip().split("\n")) == sorted(answers)


def test_a_row_depends_on_its_number_alone(tmp_path):
    folder = small.dialogues(tmp_path, 40) / "dialogues"
    options = {"dialogues": (Dialogues(epochs=3),), "seed": 5}
    unbroken = loader(folder, **options)
    forward = [unbroken.row(index).targets_T.tolist() for index in range(unbroken.rows_total)]
    for index in (len(forward) - 1, 0, len(forward) // 2):
        assert loader(folder, **options).row(index).targets_T.tolist() == forward[index]
    count = len(forward) // 3
    epochs = [forward[n * count : (n + 1) * count] for n in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(epochs[2])
    assert loader(folder, **options | {"seed": 6}).row(0).tokens_T.tolist() != forward[0]


def test_rows_are_nearly_full(tmp_path):
    rows_of = loader(small.dialogues(tmp_path, 300) / "dialogues", row_tokens=512)
    rows = [rows_of.row(index) for index in range(rows_of.rows_total)]
    assert np.mean([(row.document_T < 0).mean() for row in rows]) < 0.05


def test_what_was_cut_and_skipped_is_said(tmp_path):
    turns = [("count", "one two three"), ("again", "x" * 300)]
    talks = [messages_of(None, turns), messages_of(None, turns[1:]), messages_of(None, turns[:1])]
    rows_of = loader(write(tmp_path, talks))
    assert "2 dialogues" in rows_of.identity["dialogues *"]
    assert "1 cut after an answer to fit, 1 skipped" in rows_of.identity["dialogues *"]


def test_dialogues_are_mixed_with_code_by_weight(tmp_path):
    texts = [Text(small.source(number)) for number in range(40)]
    shards = token_shards.write(tmp_path / "tokens", small.tokenizer(), {"python": texts})
    folder = small.dialogues(tmp_path, 60) / "dialogues"
    rows_of = loader(
        folder,
        shards=shards,
        dialogues=(Dialogues(weight=0.75),),
        sources=(Source(group="python", weight=0.25),),
        infilling=Infilling(rate=1.0),
    )
    eot = small.tokenizer().infill.eot
    code = [bool((rows_of.row(index).targets_T == eot).any()) for index in range(2048)]
    assert abs(sum(code) - 512) <= 2
    assert rows_of.rows_total is None


def test_ranks_interleave_to_one_sequence(tmp_path):
    folder = small.dialogues(tmp_path, 40) / "dialogues"
    options = {"dialogues": (Dialogues(weight=1.0),)}
    whole = loader(folder, **options).batch(3, 4).tokens_T.reshape(4, -1)
    for rank in (0, 1):
        part = loader(folder, **options).batch(3, 4, rank, 2).tokens_T.reshape(2, -1)
        assert (part == whole[rank::2]).all()


def test_other_dialogues_are_another_identity(tmp_path):
    folder = small.dialogues(tmp_path, 20) / "dialogues"
    saved = loader(folder).identity
    loader(folder).check(saved)
    small.dialogues(tmp_path, 21)
    with pytest.raises(DataError, match=r"20 dialogues.*21 dialogues"):
        loader(folder).check(saved)
    with pytest.raises(DataError, match="other data"):
        loader(folder, seed=1).check(saved)


GOOD = {"role": "user", "content": "hello"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ("[1]", r"got \[1\]"),
        ("{}", "no messages"),
        ('{"messages": []}', "no messages"),
        ('{"messages": ["hello"]}', 'message 1; got "hello"'),
        ('{"messages": [{"role": "user"}]}', "message 1"),
        ('{"messages": [{"role": "user", "content": 3}]}', "message 1"),
        (json.dumps({"messages": [GOOD | {"role": "robot"}]}), 'role "robot"'),
        (json.dumps({"messages": [GOOD]}), "'user' last.*assistant last"),
        (json.dumps({"messages": [GOOD, GOOD]}), "'user' where 'assistant' was due"),
        (json.dumps({"messages": [GOOD, {"role": "assistant", "content": " "}]}), "empty content"),
        (
            json.dumps({"messages": [GOOD, {"role": "assistant", "content": "[INST]"}]}),
            "spells a tag",
        ),
        (json.dumps({"messages": [GOOD, {"role": "assistant", "content": "\ud800"}]}), "surrogate"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, said):
    folder = write(tmp_path, [small.conversation(1)])
    with (folder / "talks.jsonl").open("a") as file:
        file.write("\n" + line + "\n")
    with pytest.raises(DataError, match=rf"talks.jsonl line 3.*{said}.*mend or delete"):
        loader(folder)


def test_what_is_no_text_is_named(tmp_path):
    (tmp_path / "talks.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"talks.jsonl line 1.*no JSON"):
        loader(tmp_path)


def test_files_that_are_missing_or_empty_are_refused_with_a_remedy(tmp_path):
    with pytest.raises(DataError, match=r"no \*.jsonl in .*no dialogues.*put dialogues into"):
        loader(tmp_path / "none")
    write(tmp_path, [])
    with pytest.raises(DataError, match="empty files"):
        loader(tmp_path)
    with pytest.raises(DataError, match=r"no other.jsonl.*talks.jsonl"):
        loader(tmp_path, dialogues=(Dialogues(files="other"),))


def test_a_vocabulary_that_cannot_end_an_answer_is_refused(tmp_path):
    small.dialogues(tmp_path)
    with pytest.raises(AbilityError, match="source needs <step>"):
        loader(tmp_path / "dialogues", format="source")


@pytest.mark.parametrize(
    "wrong",
    [
        {"dialogues": ()},
        {"format": "chatml"},
        {"dialogues": (Dialogues(files="../a"),)},
        {"dialogues": (Dialogues(), Dialogues())},
        {"sources": (Source(group="python", weight=1.0),)},
        {"row_tokens": 8},
        {"infilling": Infilling(rate=2.0)},
    ],
)
def test_a_recipe_that_cannot_be_is_refused(wrong):
    with pytest.raises(UsageError):
        DialogueRecipe(**({"row_tokens": 64} | wrong))


def test_dialogues_lie_beside_the_shards(tmp_path):
    assert folder_of(tmp_path) == tmp_path / "dialogues"
    assert folder_of(tmp_path / "tokens") == tmp_path / "dialogues"
