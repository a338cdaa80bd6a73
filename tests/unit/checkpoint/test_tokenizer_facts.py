import json

import pytest

from quipu.checkpoint.abilities import stated, stated_or_derived
from quipu.checkpoint.settings import Settings
from quipu.checkpoint.tokenizer_facts import check_tokenizer, read_facts
from quipu.config import Abilities
from quipu.errors import CheckpointError, TokenizerError


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


VOCAB = {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "▁<PRE>": 4, "▁<SUF>": 5, "▁<MID>": 6}
TOKENIZER_JSON = as_json(
    {
        "model": {"type": "BPE", "vocab": VOCAB, "merges": []},
        "added_tokens": [{"id": 7, "content": "▁<EOT>", "special": True}],
    }
)


def test_a_tokenizer_model_tells_its_facts(tokenizer_model: bytes) -> None:
    facts = read_facts({"tokenizer.model": tokenizer_model})
    assert facts is not None
    assert (facts.vocab, facts.bos_id, facts.eos_id, facts.unk_id) == (316, 1, 2, 0)
    assert facts.infill == (3, 4, 5, 6)
    assert facts.step_id is None


def test_a_tokenizer_json_tells_its_facts() -> None:
    facts = read_facts({"tokenizer.json": TOKENIZER_JSON})
    assert facts is not None
    assert (facts.vocab, facts.bos_id, facts.eos_id, facts.unk_id) == (8, 1, 2, 0)
    assert facts.infill == (4, 5, 6, 7)


def test_named_specials_are_looked_up() -> None:
    config = as_json({"bos_token": {"content": "a"}, "eos_token": "</s>"})
    facts = read_facts({"tokenizer.json": TOKENIZER_JSON, "tokenizer_config.json": config})
    assert facts is not None
    assert (facts.bos_id, facts.eos_id) == (3, 2)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("added_tokens.json", {"<step>": 318}),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"318": {"content": "<step>", "special": True}}},
        ),
        ("tokenizer.json", {"added_tokens": [{"id": 318, "content": "<step>", "special": True}]}),
    ],
)
def test_tokens_added_beside_a_tokenizer_model_count(
    tokenizer_model: bytes, name: str, content: object
) -> None:
    facts = read_facts({"tokenizer.model": tokenizer_model, name: as_json(content)})
    assert facts is not None
    assert facts.vocab == 319
    assert facts.step_id == 318
    assert facts.added == {318: ("<step>", True)}


def test_no_tokenizer_is_no_facts() -> None:
    assert read_facts({"generation_config.json": b"{}"}) is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tokenizer.model": b"not a model"}, r"tokenizer\.model cannot be read"),
        ({"tokenizer.json": b"{"}, r"tokenizer\.json cannot be read"),
        ({"tokenizer.json": b"[]"}, "not a JSON object; got list"),
        ({"tokenizer.json": b"{}"}, "it has no vocabulary"),
    ],
)
def test_a_broken_tokenizer_is_refused(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        read_facts(files)


def test_a_tokenizer_with_more_ids_than_rows_is_refused() -> None:
    with pytest.raises(TokenizerError, match=r"got 32016 token ids; allowed: 32000 .*; use the"):
        check_tokenizer(32000, 32016)


@pytest.mark.parametrize("rows", [32016, 32064])
def test_a_padded_embedding_is_fine(rows: int) -> None:
    check_tokenizer(rows, 32016)


def derive(files: dict[str, bytes], name: str = "model") -> Abilities:
    return stated_or_derived(None, name, lambda: files)


def test_infilling_is_derived_from_the_four_pieces(tokenizer_model: bytes) -> None:
    assert derive({"tokenizer.model": tokenizer_model}) == Abilities(infill=True)
    assert derive({"tokenizer.json": as_json({"model": {"vocab": {"<PRE>": 0}}})}) == Abilities()


@pytest.mark.parametrize("name", ["CodeLlama-7b-Instruct-hf", "codellama-13b-instruct"])
def test_the_name_of_a_tuned_model_gives_it_away(name: str) -> None:
    assert derive({}, name) == Abilities(chat="inst")


def test_a_step_token_means_the_format_of_70b(tokenizer_model: bytes) -> None:
    files = {"tokenizer.model": tokenizer_model, "added_tokens.json": as_json({"<step>": 316})}
    assert derive(files, "CodeLlama-70b-Instruct").chat == "source"


@pytest.mark.parametrize(
    ("template", "chat"),
    [("{{ '[INST] ' }}", "inst"), ("{{ 'Source: ' }}", "source"), ("<|im_start|>", None)],
)
@pytest.mark.parametrize("style", ["file", "key", "list"])
def test_the_chat_template_is_read(
    tokenizer_model: bytes, template: str, chat: str | None, style: str
) -> None:
    named = [{"name": "rag", "template": "no"}, {"name": "default", "template": template}]
    files = {"tokenizer.model": tokenizer_model} | {
        "file": {"chat_template.jinja": template.encode()},
        "key": {"tokenizer_config.json": as_json({"chat_template": template})},
        "list": {"tokenizer_config.json": as_json({"chat_template": named})},
    }[style]
    assert derive(files).chat == chat


def test_what_is_stated_overrules_what_is_derived(tokenizer_model: bytes) -> None:
    settings = Settings("config.json: quipu", {"infill": False, "chat": None})
    files = {"tokenizer.model": tokenizer_model}
    assert stated_or_derived(settings, "Instruct", lambda: files) == Abilities()


def test_an_unknown_chat_format_is_refused() -> None:
    with pytest.raises(CheckpointError, match="chat; got chatml; allowed: inst, source or none"):
        stated(Settings("config.json: quipu", {"chat": "chatml"}))
