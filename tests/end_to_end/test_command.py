"""The command does what its help says, on the embedded model and on a small trained one."""

import json
import shutil
import signal
import subprocess
import sys

import pytest

import quipu as face
import small
from conformance import openai_server
from quipu.cli.main import COMMANDS
from quipu.llm import EMBEDDED, LLM, TRAINED, embedded_models
from quipu.text import chat

PROMPT = "def step_1_1(value, count=1):\n"


def test_complete_writes_the_bare_answer_to_a_pipe(quipu, model):
    ran = quipu("complete", PROMPT, "--model", model, "--max-tokens", 20)
    assert ran.code == 0
    assert ran.err == ""
    with face.load(model) as llm:
        assert ran.out == llm.complete(PROMPT, max_tokens=20).text + "\n"


def test_a_prompt_comes_from_stdin_too(quipu, model):
    typed = quipu("complete", PROMPT, "--model", model, "--max-tokens", 12)
    for name in ((), ("-",)):
        arguments = ("complete", *name, "--model", model, "--max-tokens", 12)
        assert quipu(*arguments, stdin=PROMPT.encode()).out == typed.out


def test_json_has_the_documented_keys(quipu, model):
    ran = quipu("complete", PROMPT, "--model", model, "--max-tokens", 8, "--json", "--logprobs", 2)
    found = json.loads(ran.out)
    assert set(found) == {
        "text",
        "finish_reason",
        "token_ids",
        "logprobs",
        "top_logprobs",
        "usage",
        "timings",
    }
    assert found["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == len(found["token_ids"]) == 8
    assert [len(top) for top in found["top_logprobs"]] == [2] * 8
    # Greedy: the chosen token is the most likely one.
    assert [top[0]["logprob"] for top in found["top_logprobs"]] == found["logprobs"]
    assert [top[0]["token_id"] for top in found["top_logprobs"]] == found["token_ids"]
    assert found["timings"]["first_token_s"] <= found["timings"]["total_s"]


def test_several_answers_are_one_json_line_each_and_repeatable(quipu, model):
    arguments = ("complete", PROMPT, "--model", model, "--json", "--max-tokens", 8)
    chance = ("--n", 3, "--temperature", 1.5, "--seed", 4)
    first, again = quipu(*arguments, *chance), quipu(*arguments, *chance)
    texts = [json.loads(line)["text"] for line in first.out.splitlines()]
    assert len(texts) == 3
    assert len(set(texts)) > 1
    assert texts == [json.loads(line)["text"] for line in again.out.splitlines()]


def test_the_three_ways_to_name_a_gap_give_the_same_answer(quipu, model, tmp_path):
    prefix, suffix = PROMPT + "    ", "\n    return value\n"
    (tmp_path / "whole.py").write_text(prefix + suffix)
    (tmp_path / "marked.py").write_text(prefix + "<FILL_ME>" + suffix)
    (tmp_path / "before").write_text(prefix)
    (tmp_path / "after").write_text(suffix)
    options = ("--model", model, "--max-tokens", 16, "--json")
    ways = (
        (tmp_path / "whole.py", "--at", "2:5"),
        (tmp_path / "marked.py",),
        ("--prefix-file", tmp_path / "before", "--suffix-file", tmp_path / "after"),
    )
    answers = [json.loads(quipu("infill", *way, *options).out)["text"] for way in ways]
    assert answers[0] == answers[1] == answers[2]


def test_a_word_under_the_cursor_is_healed(model):
    """A cut inside a word changes the tokens of the prompt, not where the text goes on."""
    with face.load(model) as llm:
        whole = llm.complete("def step_1_1(value, count", max_tokens=12)
        healed = llm.complete("def step_1_1(value, cou", max_tokens=12)
    assert healed.text.startswith("nt")
    assert whole.text[:6] in healed.text


def test_a_server_answers_as_the_model_does_here(quipu, model, tmp_path):
    (tmp_path / "f.py").write_text(PROMPT + "    <FILL_ME>\n    return value\n")
    options = ("--max-tokens", 12, "--json", "--no-heal")
    with face.load(model) as llm, openai_server.serve(llm.backend) as address:
        there = ("--backend", address, "--model", openai_server.MODEL, "--tokenizer", model)
        for verb in (("complete", PROMPT), ("infill", tmp_path / "f.py")):
            remote = json.loads(quipu(*verb, *options, *there).out)
            local = json.loads(quipu(*verb, *options, "--model", model).out)
            assert remote["token_ids"] == local["token_ids"]
            assert remote["text"] == local["text"]


def test_stop_strings_end_the_answer_before_them(quipu, model):
    ran = quipu("complete", PROMPT, "--model", model, "--json", "--stop", "\n")
    found = json.loads(ran.out)
    assert "\n" not in found["text"]
    assert found["finish_reason"] == "stop"


def test_the_embedded_model_completes_plausible_python(quipu):
    ran = quipu("complete", "import os\n\n\ndef list_files(path):\n", "--max-tokens", 48)
    assert ran.code == 0
    assert any(word in ran.out for word in ("return", "path", "os.", '"""'))


def test_the_embedded_model_infills_what_fits_both_sides():
    with face.load() as llm:
        found = llm.infill(
            "def show(items):\n    for i in ", "\n        print(items[i])\n", stop="\n"
        )
    assert found.text.endswith(":")
    assert "items" in found.text


def test_the_demo_shows_answers_in_their_place_and_says_what_chat_needs(quipu):
    ran = quipu("demo")
    assert ran.code == 0
    assert "import os" in ran.out
    assert "    for i in range" in ran.out or "    for i in items" in ran.out
    assert "        return None" in ran.out
    assert "codellama-7b-instruct" in ran.out


def test_embedded_models_are_small_enough_to_ship():
    sizes = {
        name: sum(file.stat().st_size for file in [path, *path.glob("*")])
        for name, path in embedded_models().items()
    }
    assert sizes.keys() == {TRAINED, EMBEDDED}
    assert sizes[EMBEDDED] < 10_000_000
    assert sum(sizes.values()) < 20_000_000


def test_what_runs_is_what_was_trained_in_eight_bits(quipu, tmp_path):
    made = tmp_path / "model.quipu"
    assert quipu("convert", TRAINED, made, "--to", "native", "--quantize", "int8").code == 0
    assert made.read_bytes() == embedded_models()[EMBEDDED].read_bytes()


def test_chat_names_a_tuned_model_while_the_embedded_one_is_not(refused):
    for stdin in ((), ("Hello",)):
        assert "codellama-7b-instruct" in refused("chat", *stdin)


@pytest.fixture(scope="session")
def tuned(model, tmp_path_factory):
    """The small model, declared to be tuned for chat: its words are poor, its manners complete."""
    folder = shutil.copytree(model, tmp_path_factory.mktemp("tuned") / "tuned")
    settings = json.loads((folder / "config.json").read_text())
    settings["quipu"]["chat"] = "inst"
    settings["max_position_embeddings"] = 160
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def test_chat_answers_one_question_in_the_trained_format(quipu, tuned):
    ran = quipu("chat", "step", "--model", tuned, "--json", "--max-tokens", 6, "--system", "def")
    found = json.loads(ran.out)
    with face.load(tuned) as llm:
        messages = [chat.Message(role="system", content="def")]
        messages.append(chat.Message(role="user", content="step"))
        assert found["usage"]["prompt_tokens"] == len(chat.prompt(llm.tokenizer, messages, "inst"))
        assert found["text"] == llm.chat(messages, max_tokens=6).text


def test_a_conversation_remembers_until_it_is_reset(quipu, tuned, monkeypatch):
    asked = []

    def remember(self, messages, sampling):
        asked.append([message.content for message in messages])
        return original(self, messages, sampling)

    original = LLM.ask_chat
    monkeypatch.setattr(LLM, "ask_chat", remember)
    lines = b"one\n\ntwo\n/reset\nthree\n/exit\nnever\n"
    ran = quipu("chat", "--model", tuned, "--max-tokens", 4, stdin=lines)
    assert ran.code == 0
    assert asked[0] == ["one"]
    assert asked[1][::2] == ["one", "two"]
    assert asked[1][1].strip() in ran.out
    assert asked[2] == ["three"]
    assert len(asked) == 3


def test_a_conversation_that_outgrows_the_context_forgets_its_beginning(quipu, tuned):
    lines = b"".join(b"value count value %d\n" % i for i in range(8))
    ran = quipu("chat", "--model", tuned, "--max-tokens", 8, stdin=lines)
    assert ran.code == 0
    assert "forgotten" in ran.err


def test_training_is_a_command_that_goes_on_where_it_stopped(quipu, tmp_path, monkeypatch):
    corpus = small.corpus(tmp_path / "corpus")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import small\ndef tiny(steps: int = 4):\n    return small.recipe(steps)\n"
    )
    dry = quipu("train", "mine:tiny", "tokens=5120", "--dry-run", "--json")
    assert json.loads(dry.out)["stages"][0]["recipe"]["tokens"] == 5120
    for _ in range(2):
        ran = quipu(
            "train", "mine:tiny", "steps=5", "--corpus", corpus, "--run", tmp_path / "run",
            "--no-compile",
        )  # fmt: skip
        assert ran.code == 0, ran.err
        assert ran.out.strip() == str(tmp_path / "run")
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 5
    assert quipu("export", tmp_path / "run", tmp_path / "model").code == 0
    assert quipu("info", tmp_path / "model").code == 0


def test_a_chain_hands_weights_from_stage_to_stage(quipu, tmp_path, monkeypatch):
    corpus = small.corpus(tmp_path / "corpus")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "linked.py").write_text(
        "import small\nfrom quipu.train.recipe import Chain\n"
        "def chain():\n"
        "    return Chain(name='two', stages=(small.recipe(6, name='code'),\n"
        "                                     small.recipe(3, name='python')))\n"
    )
    ran = quipu(
        "train", "linked:chain", "python.tokens=1024", "--corpus", corpus,
        "--run", tmp_path / "run", "--no-compile",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    losses = {
        stage: [
            json.loads(line)["loss"]
            for line in (tmp_path / "run" / stage / "metrics.jsonl").read_text().splitlines()
        ]
        for stage in ("code", "python")
    }
    assert len(losses["code"]) == 6
    assert len(losses["python"]) == 2
    assert losses["python"][0] < losses["code"][0] - 0.5


@pytest.mark.parametrize("verb", ["", *COMMANDS])
def test_help_teaches_within_80_columns(quipu, verb, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    ran = quipu(*filter(None, [verb]), "--help")
    assert ran.code == 0
    assert "quipu" in ran.out
    options = [line for line in ran.out.splitlines() if not line.startswith("  quipu ")]
    assert max(map(len, options)) <= 100


def _spawn(*arguments, **streams):
    command = [sys.executable, "-m", "quipu.cli.main", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **streams)


def test_ctrl_c_stops_an_answer_and_says_so():
    with _spawn("complete", "import os\n", "--max-tokens", 1000, "--temperature", 1) as running:
        assert running.stdout.read(1)  # it is writing
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert err == b"quipu: interrupted\n"


def test_a_reader_that_leaves_early_is_no_error_message():
    with _spawn("complete", "import os\n", "--max-tokens", 300) as running:
        assert running.stdout.read(1)
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(timeout=30) == 1


def test_bench_prints_its_figures_as_one_json_object(quipu, model):
    ran = quipu(
        *("bench", "--model", model, "--json", "--rounds", 2),
        *("--prompt-tokens", 16, "--new-tokens", 4, "--batch", 2),
    )
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    for key in ("prefill_tokens_per_s", "decode_tokens_per_s", "first_token_s"):
        assert found["spread"][key]["min"] <= found[key] <= found["spread"][key]["max"]
    assert found["load_s"] < found["cold_first_token_s"]
    assert found["peak_bytes"] > 2**20
    assert (found["batch"], found["rounds"]) == (2, 2)


def test_bench_prints_a_table(quipu, model):
    ran = quipu(*("bench", "--model", model, "--prompt-tokens", 16, "--new-tokens", 4))
    assert ran.code == 0
    assert "prefill" in ran.out
    assert "tokens/s" in ran.out
