"""A run that is killed at any moment goes on as if nothing had been, from its last checkpoint."""

import json
import random
import signal

import pytest
import torch

import processes
import small
from quipu.train import checkpoint, start

STEPS, KILLS = 30, 5
MOMENTS = ("any", "writing")
# A step is saved while the next one is computed: that, and the one whose checkpoint is unfinished.
LOST = 2

# Forks a process for each try, so that importing is paid once: it has a single thread itself. Tries
# are killed a few steps after they began, or before the first, and at a random moment of a step;
# or as soon as a checkpoint is being written, and a moment later.
CODE = """
import json, os, random, signal, sys, time
from pathlib import Path
import small
from quipu.train import checkpoint
from quipu.train.loop import Machine, train
folder, corpus, moment = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
steps, kills, seed = map(int, sys.argv[4:])
machine = Machine(compiled=False, save_every_s=0.0, tensorboard=False)
random = random.Random(seed)

def started(run):
    child = os.fork()
    if child:
        return child
    try:
        for done in train(small.recipe(steps), run, corpus, machine):
            with (folder / "steps.jsonl").open("a") as file:
                file.write(json.dumps([os.getpid(), done.step]) + "\\n")
        os._exit(0)
    finally:
        os._exit(1)

began = time.monotonic()
assert os.waitpid(started(folder / "whole"), 0)[1] == 0
whole_s = time.monotonic() - began

def writes(run):
    return any(run.glob("checkpoints/.step-*"))

def ended(child):
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

def steps_of(child):
    path = folder / "steps.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return sum(line.startswith(f"[{child},") for line in lines)

def killed(child, run):
    wanted = random.randrange(moment == "writing", 5)
    while steps_of(child) < wanted and not ended(child):
        time.sleep(0.002)
    if moment == "writing":
        while not writes(run) and not ended(child):
            time.sleep(0.0005)
        time.sleep(random.random() * 0.01)
    else:
        time.sleep(random.random() * whole_s * (2 / steps if wanted else 0.2))
    writing = writes(run)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1], writing

run, found = folder / "killed", []
for number in range(kills):
    child = started(run)
    status, writing = killed(child, run)
    saved = checkpoint.saved(run)
    entry = {"child": child, "saved": saved[-1].step if saved else 0,
             "writing": writing, "status": status}
    print(entry, flush=True)
    found.append(entry)
    if status == 0:
        break  # it was faster
else:
    assert os.waitpid(started(run), 0)[1] == 0
(folder / "tries.json").write_text(json.dumps(found))
"""


@pytest.mark.parametrize("moment", MOMENTS)
def test_it_loses_at_most_the_steps_since_its_last_checkpoint_and_not_one_bit(tmp_path, moment):
    corpus = small.corpus(tmp_path / "corpus")
    seed = random.randrange(10**6)
    print("seed", seed)
    processes.run(1, CODE, tmp_path, corpus, moment, STEPS, KILLS, seed)
    tries = json.loads((tmp_path / "tries.json").read_text())
    done = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    saved = 0
    for one in tries:
        steps = [step for child, step in done if child == one["child"]]
        print(one, "steps", steps[:1], "to", steps[-1:])
        assert steps[:1] in ([], [saved + 1])
        assert one["saved"] >= max([saved, *(step - LOST for step in steps)])
        saved = one["saved"]
    assert sum(one["status"] == signal.SIGKILL for one in tries) >= KILLS // 2
    assert moment == "any" or any(one["writing"] for one in tries)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    lines = [(run / "metrics.jsonl").read_text().splitlines() for run in (whole, killed)]
    losses = [[(m["step"], m["loss"]) for m in map(json.loads, of_run)] for of_run in lines]
    assert losses[0] == losses[1]
    one, other = (dict(start.whole_weights(run)) for run in (whole, killed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    kept = [saved.path.name for saved in checkpoint.saved(killed)]
    assert sorted(path.name for path in (killed / "checkpoints").iterdir()) == kept
