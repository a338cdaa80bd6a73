"""quipu data build, why and drop, as a person calls them; killed, out of space, on Ray."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import small_corpus

ROOT = Path(__file__).resolve().parents[2]
BUILD = (sys.executable, "-m", "quipu.cli.main", "data", "build", "small_corpus:recipe")
QUICK = ("--processes", "2", "--until", "tokens")  # pictures take longer than all else here


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return small_corpus.write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(autouse=True)
def told(sources, monkeypatch):
    monkeypatch.setenv(small_corpus.SOURCES, str(sources))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(ROOT / name) for name in ("src", "tests")))


@pytest.fixture(scope="module")
def whole(sources, tmp_path_factory):
    """A build that nobody disturbed, and how many seconds it took."""
    began = time.monotonic()
    folder = tmp_path_factory.mktemp("whole")
    os.environ[small_corpus.SOURCES] = str(sources)
    subprocess.run(
        [*BUILD, "--to", folder, *QUICK],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"},
    )
    return folder, time.monotonic() - began


def test_a_build_tells_what_came_out(quipu, tmp_path):
    ran = quipu("data", "build", "small_corpus:recipe", "--to", tmp_path / "c", "--processes", 1)
    assert ran.code == 0, ran.err
    assert "python" in ran.out
    assert "near duplicate" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "prepare: 5 of 5" in ran.err
    assert (tmp_path / "c" / "report.html").exists()
    assert (tmp_path / "c" / "card.md").exists()
    again = quipu("data", "build", "small_corpus:recipe", "--to", tmp_path / "c", "--json")
    assert json.loads(again.out)["name"] == "tiny"
    assert "5 done before" in again.err


def test_settings_change_the_recipe_and_until_stops_early(quipu, tmp_path):
    folder = tmp_path / "c"
    arguments = ("data", "build", "small_corpus:recipe", "name=other", "--to", folder)
    assert quipu(*arguments, "--processes", 1, "--until", "prepare").code == 0
    assert json.loads((folder / "recipe.json").read_text())["name"] == "other"
    assert not (folder / "documents.parquet").exists()
    shown = quipu(*arguments, "--dry-run")
    assert json.loads(shown.out)["name"] == "other"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere:recipe",), 2, "importable"),
        (("small_corpus:NAMES",), 2, "CorpusRecipe"),
        (("small_corpus:recipe", "held_out=2"), 1, "held_out"),
        (("small_corpus:recipe", "nonsense=2"), 2, "nonsense"),
        (("small_corpus:recipe", "--processes", "0"), 2, "--processes"),
        (("small_corpus:recipe", "--ray-address", "here"), 2, "--executor ray"),
    ],
)
def test_wrong_arguments_are_named(refused, tmp_path, arguments, code, said):
    assert said in refused("data", "build", *arguments, "--to", tmp_path / "c", code=code)


def test_why_and_drop_answer_on_the_command_line(quipu, refused, whole, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", whole[0], copy], check=True)
    ran = quipu("data", "why", "folder/alpha/1/m1.py", "--corpus", copy)
    assert ran.code == 0
    assert "trained on · " in ran.out
    found = json.loads(quipu("data", "why", "beta", "--corpus", copy, "--json").out)
    assert found["trained_on"]
    assert found["documents"] == 6
    assert quipu("data", "why", "nothing", "--corpus", copy).code == 1
    dropped = json.loads(quipu("data", "drop", "beta", "--corpus", copy, "--json").out)
    assert dropped["requests"] == ["folder/beta"]
    assert not json.loads(quipu("data", "why", "beta", "--corpus", copy, "--json").out)[
        "trained_on"
    ]
    assert "quipu data why" in refused("data", "drop", "nothing", "--corpus", copy)
    assert "build it first" in refused("data", "why", "x", "--corpus", tmp_path)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))]
)
def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(whole, tmp_path, seed):
    chance = random.Random(seed)
    folder, seconds = whole
    prepared = {}
    for kill in (True, True, True, False):
        building = subprocess.Popen([*BUILD, "--to", tmp_path, *QUICK], stderr=subprocess.PIPE)
        try:
            building.wait(seconds * chance.uniform(0.2, 0.8) if kill else None)
        except subprocess.TimeoutExpired:
            building.send_signal(signal.SIGKILL)
        _, err = building.communicate()
        # What was finished before is as it was: not written again.
        for path, written in prepared.items():
            assert path.stat().st_mtime_ns == written
        finished = (path.with_suffix("") for path in tmp_path.glob("packages/**/*.done"))
        prepared = {path: path.stat().st_mtime_ns for path in finished}
        assert building.returncode == -signal.SIGKILL or not building.returncode, err
    assert len(prepared) == len(small_corpus.NAMES)
    assert small_corpus.contents(tmp_path) == small_corpus.contents(folder)


def test_ctrl_c_stops_at_once_and_leaves_no_process(whole, tmp_path):
    building = subprocess.Popen(
        [*BUILD, "--to", tmp_path, *QUICK],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while not list(tmp_path.glob("packages/**/*.done")) and building.poll() is None:
        time.sleep(0.01)
    os.killpg(building.pid, signal.SIGINT)
    began = time.monotonic()
    _, err = building.communicate(timeout=20)
    assert building.returncode == 130
    assert b"Traceback" not in err, err
    assert time.monotonic() - began < 10
    subprocess.run([*BUILD, "--to", tmp_path, *QUICK], check=True, capture_output=True)
    assert small_corpus.contents(tmp_path) == small_corpus.contents(whole[0])


def test_a_full_disk_is_said_in_one_line_and_the_build_goes_on_afterwards(whole, tmp_path):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    command = [*BUILD, "--to", tmp_path, *QUICK]
    subprocess.run([*command, "--until", "fetch"], check=True, capture_output=True)
    full = subprocess.run(command, capture_output=True, text=True, preexec_fn=little_room)
    assert full.returncode == 1
    assert "disk is full" in full.stderr
    assert "Traceback" not in full.stderr
    assert "goes on from there" in " ".join(full.stderr.split())
    subprocess.run(command, check=True, capture_output=True)
    assert small_corpus.contents(tmp_path) == small_corpus.contents(whole[0])


def test_a_ray_cluster_of_two_nodes_builds_the_same_bytes(whole, tmp_path):
    pytest.importorskip("ray", reason="needs ray")
    code = (
        "import sys, ray; from pathlib import Path;"
        "from ray.cluster_utils import Cluster;"
        "import small_corpus; from quipu.data.corpus.build import build;"
        "from quipu.data.corpus.executors.ray import RayExecutor;"
        "node = {'num_cpus': 1, 'object_store_memory': 80_000_000};"
        "head = node | {'include_dashboard': False};"
        "cluster = Cluster(initialize_head=True, head_node_args=head);"
        "cluster.add_node(**node); cluster.wait_for_nodes();"
        "executor = RayExecutor(cluster.address); executor.__enter__();"
        "assert len(ray.nodes()) == 2 and ray.cluster_resources()['CPU'] == 2;"
        "build(small_corpus.recipe(), Path(sys.argv[1]), executor, until='tokens');"
        "executor.__exit__(None, None, None); cluster.shutdown()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "c"],
        capture_output=True,
        text=True,
        env=os.environ | {"RAY_usage_stats_enabled": "0"},
        timeout=150,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert small_corpus.contents(tmp_path / "c") == small_corpus.contents(whole[0])
