"""Made-up runs in the format of `quipu eval`: texts as long and as alike as real answers."""

import json
import random
from dataclasses import asdict
from pathlib import Path

from quipu.evals.data import Source
from quipu.evals.task import Declaration, Decoding, Published

_STEPS = (
    "    {a} = [{b} for {b} in {c} if {b} > {n}]",
    "    for {a} in range(len({c})):",
    "        if {c}[{a}] % {n} == 0:",
    "            {b}.append({c}[{a}] * {n})",
    "    {a} = sorted(set({b}), key=lambda {c}: (-len(str({c})), {c}))",
    "    # keep what is left of {a}, at most {n}",
    "    while {a} and {b}[-1] < {n}:",
    "        {b}.pop()",
    "    return {a}[:{n}] + {b}",
)
_NAMES = ("numbers", "result", "i", "x", "words", "total", "left", "seen", "text", "best")
_DETAILS = (
    "AssertionError",
    "NameError: name 'math' is not defined",
    "IndexError: list index out of range",
    "SyntaxError: invalid syntax",
    "TypeError: 'int' object is not iterable",
)
PUBLISHED = (
    *(
        Published(model=f"Code Llama {size}", measure=measure, value=value, source="made up")
        for size, values in {
            "7B": (33.5, 59.6, 85.9),
            "13B": (36.0, 69.4, 89.8),
            "34B": (48.8, 76.8, 93.0),
        }.items()
        for measure, value in zip(("pass@1", "pass@10", "pass@100"), values, strict=True)
    ),
    Published(model="Codex 85M", measure="pass@1", value=8.22, source="made up",
              protocol="mean of many samples"),
)  # fmt: skip


def write(
    folder: Path, *, problems: int = 164, samples: int = 200, seed: int = 0, skill: float = 0.3
) -> Path:
    """A run of one task, of so many problems and samples; returns its folder."""
    place = folder / "made-up"
    place.mkdir(parents=True, exist_ok=True)
    decoding = Decoding(max_tokens=512, samples=samples, temperature=0.8 if samples > 1 else 0.0,
                        top_p=0.95, stop=("\ndef ", "\nclass "))  # fmt: skip
    declaration = Declaration(
        name="made-up",
        title="A made-up task",
        protocol="zero-shot; the prompt to the byte; all tests of a problem must hold",
        source="nowhere",
        measure="pass@k",
        decoding=decoding,
        data=(Source(path="made-up/problems.jsonl", sha256="0" * 64),),
        ks=(1, 10, 100),
        published=PUBLISHED,
    )
    manifest = {
        "declaration": asdict(declaration),
        "decoding": asdict(decoding),
        "model": {"name": f"made-{seed}", "fingerprint": f"{seed:08x}"},
        "seed": seed,
    }
    (place / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    hard = random.Random("problems")
    draw = random.Random(f"samples {seed}")
    with (
        (place / "problems.jsonl").open("w", encoding="utf-8") as told,
        (place / "samples.jsonl").open("w", encoding="utf-8") as answers,
        (place / "outcomes.jsonl").open("w", encoding="utf-8") as verdicts,
    ):
        for number in range(problems):
            name = f"MadeUp/{number}"
            group = ("lists", "text", "numbers")[number % 3]
            prompt = f"def f{number}(numbers, text):\n" + '    """Say what is left.\n    """\n'
            told.write(json.dumps({"problem": name, "group": group, "prompt": prompt}) + "\n")
            chance = min(hard.betavariate(0.6, 1.4) * skill / 0.3, 1.0)
            for sample in range(samples):
                line = {"problem": name, "sample": sample}
                answers.write(json.dumps(line | _answer(draw)) + "\n")
                verdicts.write(json.dumps(line | _verdict(draw, chance)) + "\n")
    return folder


def _answer(draw: random.Random) -> dict[str, object]:
    lines = [
        step.format(a=draw.choice(_NAMES), b=draw.choice(_NAMES), c=draw.choice(_NAMES),
                    n=draw.randrange(20))
        for step in draw.choices(_STEPS, k=draw.randrange(2, 40))
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    ended = "length" if draw.random() < 0.04 else "stop"
    seed = draw.getrandbits(62)
    return {"seed": seed, "text": text, "finish_reason": ended, "tokens": len(text) // 3}


def _verdict(draw: random.Random, chance: float) -> dict[str, object]:
    if draw.random() < chance:
        return {"status": "passed", "value": 1.0, "detail": "", "cpu_s": 0.01}
    status = draw.choices(("failed", "timeout", "memory", "crashed"), (90, 7, 1, 2))[0]
    detail = draw.choice(_DETAILS) if status == "failed" else ""
    return {"status": status, "value": 0.0, "detail": detail, "cpu_s": 0.02}
