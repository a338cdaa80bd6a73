"""Jobs are done once, whole or not at all, whoever carries them out."""

import json

import pytest

import corpus_jobs
from quipu.data.corpus import jobs
from quipu.data.corpus.executors.local import LocalExecutor
from quipu.data.corpus.jobs import Done, Failed
from quipu.errors import DataError


@pytest.fixture(params=[0, 2], ids=["here", "two workers"])
def executor(request):
    return LocalExecutor(request.param)


def job(folder, name, function=corpus_jobs.write, *arguments, **more):
    plain_write = function is corpus_jobs.write and not arguments
    return jobs.make(
        name, function, (name,) if plain_write else arguments, folder / f"{name}.txt", **more
    )


def run(executor, *all_jobs):
    return {outcome.job.name: outcome for outcome in executor.run(all_jobs)}


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_files_and_facts_are_there_and_nothing_else(executor, tmp_path):
    done = run(executor, *(job(tmp_path, f"j{i}") for i in range(5)))
    assert all(isinstance(one, Done) and not one.skipped for one in done.values())
    assert done["j3"].facts == {"length": 2}
    assert set(files(tmp_path)) == {f"j{i}.txt{end}" for i in range(5) for end in ("", ".done")}


def test_a_finished_job_is_not_done_again(executor, tmp_path):
    count = tmp_path / "count"
    one = job(tmp_path, "a", corpus_jobs.write, "text", count)
    first, again = run(executor, one)["a"], run(executor, one)["a"]
    assert (first.skipped, again.skipped) == (False, True)
    assert again.facts == first.facts
    assert count.read_text() == "text\n"


@pytest.mark.parametrize("what", ["argument", "version", "read file", "lost", "cut", "sidecar"])
def test_a_stale_job_is_done_again(executor, tmp_path, what):
    (tmp_path / "in").write_text("1")
    run(executor, job(tmp_path, "a", reads=[tmp_path / "in"]))
    arguments, version = ("a",), 1
    if what == "argument":
        arguments = ("b",)
    elif what == "version":
        version = 2
    elif what == "read file":
        (tmp_path / "in").write_text("2")
    elif what == "lost":
        (tmp_path / "a.txt").unlink()
    elif what == "cut":
        (tmp_path / "a.txt").write_text("")
    else:
        (tmp_path / "a.txt.done").write_text("{")
    again = job(
        tmp_path, "a", corpus_jobs.write, *arguments, version=version, reads=[tmp_path / "in"]
    )
    assert not run(executor, again)["a"].skipped
    assert (tmp_path / "a.txt").read_text() == arguments[0]


def test_a_failure_leaves_no_file_and_does_not_stop_the_others(executor, tmp_path):
    outcomes = run(
        executor,
        job(tmp_path, "a"),
        job(tmp_path, "b", corpus_jobs.fail, "no luck"),
        job(tmp_path, "c", corpus_jobs.make_folder),
        job(tmp_path, "d"),
    )
    assert outcomes["b"] == Failed(job=outcomes["b"].job, reason="ValueError: no luck")
    assert isinstance(outcomes["c"], Failed)
    assert {"a.txt", "d.txt"} <= set(files(tmp_path))
    assert not any(name.startswith(("b.txt", ".b")) for name in files(tmp_path))


def test_a_full_disk_stops_everything_and_says_how_to_go_on(executor, tmp_path):
    with pytest.raises(DataError, match=r"disk is full.*goes on from there"):
        run(executor, job(tmp_path, "a", corpus_jobs.fill_the_disk), job(tmp_path, "b"))
    assert "a.txt" not in files(tmp_path)


def test_a_killed_worker_fails_its_job_alone(tmp_path):
    killed = [job(tmp_path, f"k{i}", corpus_jobs.be_killed) for i in range(2)]
    others = [job(tmp_path, f"j{i}") for i in range(4)]
    outcomes = run(LocalExecutor(2), *killed, *others)
    assert [type(outcomes[one.name]) for one in killed] == [Failed, Failed]
    assert "killed" in outcomes["k0"].reason
    assert all(isinstance(outcomes[one.name], Done) for one in others)


def test_two_files_of_a_job_stand_or_fall_together(executor, tmp_path):
    one = job(tmp_path, "a", corpus_jobs.write_two, "x", also=(tmp_path / "b.txt",))
    run(executor, one)
    assert (tmp_path / "b.txt").read_text() == "X"
    (tmp_path / "b.txt").unlink()
    assert not run(executor, one)["a"].skipped


def test_a_fingerprint_does_not_know_folders(tmp_path):
    (tmp_path / "x").mkdir()
    here, there = (
        jobs.make("a", corpus_jobs.write, (folder / "in",), folder / "out")
        for folder in (tmp_path, tmp_path / "x")
    )
    assert here.fingerprint == there.fingerprint


def test_an_older_sidecar_never_vouches_for_newer_files(tmp_path, monkeypatch):
    former = job(tmp_path, "a", corpus_jobs.write, "one")
    run(LocalExecutor(0), former)
    monkeypatch.setattr(jobs, "write_whole", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(LocalExecutor(0), job(tmp_path, "a", corpus_jobs.write, "two"))
    monkeypatch.undo()
    assert not run(LocalExecutor(0), former)["a"].skipped
    assert (tmp_path / "a.txt").read_text() == "one"


def test_what_cannot_be_sent_to_a_worker_is_the_users_error(tmp_path):
    with pytest.raises(DataError, match="another process"):
        run(LocalExecutor(1), job(tmp_path, "a", corpus_jobs.write, lambda: 1))


def test_sidecars_hold_no_folder_and_no_time(executor, tmp_path):
    run(executor, job(tmp_path, "a", corpus_jobs.write, "text"))
    told = json.loads((tmp_path / "a.txt.done").read_text())
    assert set(told) == {"fingerprint", "files", "facts"}
    assert str(tmp_path) not in json.dumps(told)


def test_half_done_files_of_killed_processes_are_removed(tmp_path):
    run(LocalExecutor(1), job(tmp_path, "k", corpus_jobs.be_killed))
    assert len(files(tmp_path)) == 1
    jobs.remove_partials(tmp_path)
    assert files(tmp_path) == {}


def test_a_worker_that_grew_large_is_replaced_and_a_small_one_stays(tmp_path):
    with LocalExecutor(1) as executor:
        pids = [
            run(executor, job(tmp_path, f"j{n}", corpus_jobs.hold, size))[f"j{n}"].facts
            for n, size in enumerate((1, 1, 500_000_000, 1))
        ]
    assert pids[0] == pids[1] == pids[2] != pids[3]
