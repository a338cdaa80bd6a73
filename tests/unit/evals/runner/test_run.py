"""Runs of tiny benchmarks: what is written, kept, resumed and refused."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import small_task
from conformance import openai_server
from conformance.vocabulary import model_file
from quipu import jsonl
from quipu.backend.open import open_backend
from quipu.backend.protocol import Backend
from quipu.errors import (
    AbilityError,
    BackendError,
    DataError,
    QuipuError,
    SandboxError,
    UsageError,
)
from quipu.evals.report.facts import gather
from quipu.evals.report.page import html, machine, markdown
from quipu.evals.runner.generate import seed_of
from quipu.evals.runner.run import run
from quipu.evals.runner.settings import Settings
from quipu.evals.task import Complete, Decoding, Score
from quipu.llm import LLM
from quipu.sandbox import judge as judge_module
from small_task import SOURCE, Measuring, Model, Small, lines

ROOT = Path(small_task.__file__).parent


@pytest.fixture
def ran(tmp_path):
    """Run a task in `tmp_path`/run; the scores."""

    def run_task(
        task=None,
        model=None,
        told=lambda _: None,
        judge=small_task.judge,
        folder="run",
        **choices,
    ):
        settings = Settings(data=small_task.data(tmp_path / "data"), **choices)
        llm = LLM(model or Model())
        return run(task or Small(), llm, tmp_path / folder, settings, told, open_judge=judge)

    return run_task


@pytest.fixture
def place(tmp_path):
    return tmp_path / "run" / "small-program"


def test_samples_outcomes_and_manifest_are_written_and_scores_told(ran, place):
    scores = ran(samples=4)
    samples, outcomes = lines(place, "samples"), lines(place, "outcomes")
    assert len(samples) == len(outcomes) == 24
    for sample, outcome in zip(samples, outcomes, strict=True):
        assert sample["seed"] == seed_of(0, sample["problem"], sample["sample"])
        assert sample["text"] == f"    return {sample['seed'] % 2}"  # cut at the stop string
        assert outcome["value"] == sample["seed"] % 2
    rate = sum(outcome["value"] for outcome in outcomes) / 24
    assert scores.scores["pass@1"] == pytest.approx(rate)
    assert set(scores.scores) == {"pass@1", "pass@2"}  # too few samples for pass@10
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["decoding"]["temperature"] == 0.8
    assert manifest["model"]["name"] == "small"
    assert manifest["sandbox"] == ["none"]
    assert manifest["limit"] is None
    assert manifest["data"] == {SOURCE.path: SOURCE.sha256}
    (first, *_) = jsonl.read(place / "problems.jsonl")
    assert first == {"problem": "S/0", "group": "", "prompt": "def f0():\n"}


def test_a_finished_run_asks_and_judges_nothing_again(ran, place):
    first = ran(samples=2)
    before = (place / "samples.jsonl").read_bytes(), (place / "outcomes.jsonl").read_bytes()
    model = Model()
    assert ran(samples=2, model=model) == first
    assert model.asked == []
    assert before == (
        (place / "samples.jsonl").read_bytes(),
        (place / "outcomes.jsonl").read_bytes(),
    )


def test_several_requests_are_under_way_at_once(ran):
    model = Model(delay_s=0.005)
    ran(samples=8, model=model, parallel=6)
    assert 2 <= model.most <= 6


def test_prompts_become_ids_through_the_models_face(ran):
    model = Model()
    ran(model=model, limit=1)
    (request,) = model.asked
    words = model.tokenizer
    assert list(request.prompt) == [words.bos_id, *words.encode("def f0():\n")]
    assert request.forced == b""
    assert request.sampling.stop == ("\n#",)


@pytest.mark.parametrize(("kind", "word"), [("infill", "infill"), ("chat", "chat")])
def test_an_ability_that_is_missing_is_told_before_anything_is_asked(ran, tmp_path, kind, word):
    model = Model()
    with pytest.raises(AbilityError, match=word):
        ran(Small(kind=kind), model)
    assert model.asked == []
    assert not (tmp_path / "run").exists()


def test_infilling_and_chat_use_the_projects_own_formats(ran):
    from quipu.text import chat, infill
    from quipu.text.chat import Message

    model = Model(infill=True, chat="inst")
    ran(Small(kind="infill"), model, limit=1)
    ran(Small(kind="chat"), model, limit=1)
    first, second = model.asked
    assert list(first.prompt) == infill.prompt(model.tokenizer, "def f0():\n", "\n", "psm")
    messages = [Message(role="user", content="def f0():\n")]
    assert list(second.prompt) == chat.prompt(model.tokenizer, messages, "inst")


def test_exact_matches_and_means_need_no_sandbox(ran, tmp_path):
    def never():
        raise AssertionError("a sandbox was opened")

    exact = ran(Small(kind="exact"), judge=never)
    assert set(exact.scores) == {"exact match", "letters"}
    assert {line["status"] for line in lines(tmp_path / "run/small-exact", "outcomes")} <= {
        "passed",
        "failed",
    }
    assert set(ran(Small(kind="mean"), judge=never).scores) == {"mean", "letters"}
    (line, *_) = lines(tmp_path / "run/small-mean", "outcomes")
    assert (line["status"], line["measures"]) == ("scored", {"letters": 12.0})


def test_a_task_of_the_models_own_scores_is_measured_once(ran, tmp_path):
    task = Measuring()
    for _ in range(2):
        assert ran(task).scores == {"perplexity at 128": 3.5}
    assert task.calls == [1]
    (line,) = lines(tmp_path / "run/small-measured", "outcomes")
    assert line["status"] == "measured"


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_a_run_killed_anywhere_ends_the_same(tmp_path):
    data = small_task.data(tmp_path / "data")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT.parent / 'src'}{os.pathsep}{ROOT}"}

    def start(folder: Path, parallel: int) -> subprocess.Popen[bytes]:
        words = [sys.executable, small_task.__file__, folder, data, parallel]
        return subprocess.Popen([str(word) for word in words], env=environment)

    assert start(tmp_path / "whole/run", 1).wait(60) == 0
    killed = tmp_path / "killed/run/small-program"
    for count in (1, 15, 30):
        process = start(killed.parent, 5)
        while process.poll() is None and _count(killed / "samples.jsonl") < count:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with (killed / "samples.jsonl").open("ab") as file:
        file.write(b'{"problem": "S/5", "sam')  # as a kill within a write leaves it
    assert start(killed.parent, 3).wait(60) == 0
    for name in ("samples", "outcomes"):
        assert lines(killed, name) == lines(tmp_path / "whole/run/small-program", name)
    reports = [gather([tmp_path / each / "run"]) for each in ("killed", "whole")]
    for text in (markdown, machine, html):
        assert text(reports[0]) == text(reports[1])


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_failed_sandbox_is_counted_apart_and_tried_again(ran, place):
    def failing(source: str, again: int) -> str:
        return "sandbox_error" if "f2" in source else small_task.honest(source, again)

    scores = ran(samples=4, judge=lambda: small_task.judge(failing))
    assert (scores.samples, scores.statuses["sandbox_error"]) == (20, 4)
    scores = ran(samples=4)
    assert (scores.samples, scores.statuses.get("sandbox_error")) == (24, None)
    assert len(lines(place, "outcomes")) == 24


def test_a_time_out_counts_only_if_it_times_out_alone(ran, place):
    def busy(source: str, again: int) -> str:
        return "timeout" if "f1" in source and again == 1 else "passed"

    judge = small_task.judge(busy)
    ran(judge=lambda: judge, workers=4)
    assert {line["status"] for line in lines(place, "outcomes")} == {"passed"}
    assert "f1" in judge.sandbox.programs[-1]
    assert judge.sandbox.alone[-1]


def test_a_time_out_that_is_one_is_told(ran, place):
    ran(judge=lambda: small_task.judge(lambda *_: "timeout"), limit=1)
    (line,) = lines(place, "outcomes")
    assert (line["status"], line["value"]) == ("timeout", 0.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": Model(name="other")}, r'model.name "other" \(there: "small"\)'),
        ({"temperature": 0.2}, "decoding.temperature 0.2"),
        ({"max_tokens": 9}, "decoding.max_tokens 9"),
        ({"seed": 1}, "seed 1"),
        ({"task": Small(decoding=Decoding(max_tokens=24, stop=("\n",)))}, "decoding.stop"),
    ],
)
def test_another_run_in_the_same_folder_is_refused_with_what_differs(ran, change, words):
    ran()
    with pytest.raises(UsageError, match=words):
        ran(**change)


def test_more_problems_and_samples_keep_those_that_are_there(ran, place):
    ran(limit=2, samples=2)
    few = {(line["problem"], line["sample"]): line for line in lines(place, "samples")}
    model = Model()
    ran(samples=3, model=model)
    more = {(line["problem"], line["sample"]): line for line in lines(place, "samples")}
    assert len(more) == 18
    assert len(model.asked) == 14
    assert few.items() <= more.items()
    ran(limit=1, samples=2)
    manifest = json.loads((place / "manifest.json").read_text())
    assert (manifest["limit"], manifest["decoding"]["samples"]) == (None, 3)


def test_a_dead_server_is_told_and_finished_work_kept(ran, place):
    model = Model()
    model.fails_after = 7
    with pytest.raises(BackendError, match="cannot be reached"):
        ran(samples=4, model=model, parallel=1)
    assert len(lines(place, "samples")) == 7
    rest = Model()
    ran(samples=4, model=rest)
    assert len(rest.asked) == 17


@pytest.mark.parametrize("token_ids", [True, False])
def test_a_server_gives_the_same_samples(ran, tmp_path, place, token_ids):
    ran(samples=3)
    local = [line["text"] for line in lines(place, "samples")]
    with openai_server.serve(Model(), token_ids=token_ids) as address:
        remote = served(tmp_path, address)
        ran(Small(), remote, samples=3, folder="served")
        remote.close()
    found = lines(tmp_path / "served/small-program", "samples")
    assert [line["text"] for line in found] == local
    assert all(line["tokens"] for line in found)


def test_a_server_that_dies_is_told_and_another_goes_on(ran, tmp_path, place):
    dying = Model()
    dying.fails_after = 5
    with openai_server.serve(dying) as address:
        remote = served(tmp_path, address)
        with pytest.raises(BackendError, match=address):
            ran(Small(), remote, samples=3, parallel=2)
        remote.close()
    assert 0 < len(lines(place, "samples")) <= 5
    with openai_server.serve(Model()) as address:
        remote = served(tmp_path, address)
        ran(Small(), remote, samples=3)
        remote.close()
    assert len(lines(place, "outcomes")) == 18


def served(folder: Path, address: str) -> Backend:
    """The backend of a server."""
    (folder / "tokenizer.model").write_bytes(model_file())
    return open_backend(f"{address}#tiny", tokenizer=folder / "tokenizer.model")


def test_a_full_disk_is_told_and_finished_work_kept(ran, place, monkeypatch):
    append = jsonl.append

    def full(path: Path, line: dict) -> None:
        if path.name == "samples.jsonl" and path.exists() and _count(path) == 5:
            with path.open("a") as file:
                file.write(json.dumps(line)[:20])
            raise OSError(errno.ENOSPC, "No space left on device")
        append(path, line)

    with monkeypatch.context() as patched:
        patched.setattr(jsonl, "append", full)
        with pytest.raises(QuipuError, match=r"samples\.jsonl; got No space left.*make room"):
            ran(samples=4)
    ran(samples=4)
    assert len(lines(place, "samples")) == len(lines(place, "outcomes")) == 24


def test_a_missing_toolchain_is_told_before_anything_is_asked(ran, tmp_path, monkeypatch):
    monkeypatch.setattr(judge_module.shutil, "which", lambda _: None)

    @dataclass(frozen=True, kw_only=True)
    class Compiled(Small):
        def grade(self, problem, answer):
            return replace(super().grade(problem, answer), language="cpp")

    model = Model()
    with pytest.raises(SandboxError, match=r"no g\+\+; apt-get install -y g\+\+"):
        ran(Compiled(), model)
    assert model.asked == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"other", "is not the one that this task is defined on"), (None, "no such file")],
)
def test_a_wrong_data_file_is_told_and_finished_work_kept(ran, tmp_path, place, data, message):
    ran(samples=2, limit=3)
    before = lines(place, "samples")
    path, model = tmp_path / "data" / SOURCE.path, Model()
    path.write_bytes(data) if data else path.unlink()
    settings = Settings(data=tmp_path / "data", samples=2)
    with pytest.raises(DataError, match=message):
        run(
            Small(), LLM(model), tmp_path / "run", settings, lambda _: None,
            open_judge=small_task.judge,
        )  # fmt: skip
    assert model.asked == []
    assert lines(place, "samples") == before
    ran(samples=2)
    assert len(lines(place, "outcomes")) == 12


def test_a_judge_is_opened_where_only_some_answers_become_programs(ran, place):
    @dataclass(frozen=True, kw_only=True)
    class Picky(Small):
        def grade(self, problem, answer):
            return super().grade(problem, answer) if answer.strip() else Score(value=0)

    ran(Picky())
    assert {line["status"] for line in lines(place, "outcomes")} == {"passed", "failed"}


def test_a_text_that_may_be_cut_loses_lines_at_its_beginning(ran):
    @dataclass(frozen=True, kw_only=True)
    class Long(Small):
        def prompt(self, _problem):
            return Complete(text="first line\n" + "a = 1\n" * 200, cut=True)

    model = Model(context=200)
    ran(Long(), model, limit=1)
    (request,) = model.asked
    assert 100 < len(request.prompt) <= 200 - 24
    text = model.tokenizer.decode(list(request.prompt[1:]))
    assert text == "a = 1\n" * text.count("\n")


def test_a_malformed_line_of_a_run_is_named(ran, place):
    ran()
    with (place / "samples.jsonl").open("a") as file:
        file.write('{"problem": "S/0"}\n')
    with pytest.raises(QuipuError, match=r"samples\.jsonl line 7; .*remove the line"):
        ran()


def test_an_interrupt_keeps_what_has_come(ran, place):
    def told(standing):
        if standing.samples >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran(samples=4, told=told, model=Model(delay_s=0.002))
    assert 3 <= len(lines(place, "samples")) < 24
    ran(samples=4)
    assert len(lines(place, "outcomes")) == 24


def test_a_prompt_that_does_not_fit_has_failed_and_says_so(ran, place):
    ran(model=Model(context=4), limit=1)
    (sample,), (outcome,) = lines(place, "samples"), lines(place, "outcomes")
    assert (sample["finish_reason"], sample["tokens"]) == ("prompt_too_long", 0)
    assert (outcome["status"], outcome["detail"]) == (
        "failed",
        "the prompt does not fit the model's context",
    )


def test_a_second_process_in_the_same_folder_is_refused(ran):
    inner = []

    def told(_standing):
        if not inner:
            inner.append(1)
            with pytest.raises(UsageError, match="another process"):
                ran()

    ran(told=told)
    assert inner


def test_progress_grows_to_its_end(ran):
    seen = []
    ran(samples=4, told=seen.append)
    assert [each.judged for each in seen] == sorted(each.judged for each in seen)
    last = seen[-1]
    assert (last.judged, last.of_samples, last.problems) == (24, 24, 6)
    assert last.tokens > 0


def test_several_samples_are_drawn_as_the_paper_draws_them():
    greedy = Decoding(max_tokens=8)
    assert Settings().decoding(greedy) == greedy
    drawn = Settings(samples=20).decoding(greedy)
    assert (drawn.temperature, drawn.top_p) == (0.8, 0.95)
    own = replace(greedy, temperature=0.2, top_p=0.9, samples=5)
    assert Settings().decoding(own) == own
    assert Settings(temperature=0.0, samples=1).decoding(own).top_p == 1.0
    with pytest.raises(UsageError, match="temperature 0"):
        Settings(temperature=0.0, samples=2).decoding(greedy)
    with pytest.raises(UsageError, match="limit"):
        Settings(limit=0)
    with pytest.raises(UsageError, match="max_tokens"):
        Settings(max_tokens=0).decoding(greedy)
