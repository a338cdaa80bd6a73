"""quipu eval run: benchmarks against a model, resumable."""

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import quipu
from quipu.cli.eval.judge import add_limits, limits_of, opened
from quipu.cli.options import add_model, open_model
from quipu.errors import QuipuError
from quipu.llm import model_path

if TYPE_CHECKING:
    from quipu.evals.runner.run import Progress as Standing
    from quipu.evals.runner.scores import Scores

EPILOG = """\
RUN/TASK holds manifest.json, problems.jsonl, samples.jsonl and outcomes.jsonl. The same command
goes on where a run stopped; another model, decoding or data in the same folder is refused, more
samples or problems are not. Without --temperature one sample is greedy, and several are drawn as
the Code Llama paper draws them: temperature 0.8, top-p 0.95.

examples:
  quipu eval humaneval                                    the embedded model, greedy
  quipu eval humaneval mbpp --model PATH --run runs/7b
  quipu eval humaneval --samples 200 --parallel 64 --model PATH --backend torch
  quipu eval 'infilling-*' --backend http://localhost:8000/v1 --model NAME --tokenizer PATH
"""
_WHOLE = 64 * 2**20  # bytes of a file up to which all of it is read for a fingerprint
_STEP, _PART = 2**18, 2**12
_LOG_EVERY_S = 10.0  # a log gets a line where a terminal gets a bar


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "run",
        help="run benchmarks against a model (the word may be left out)",
        description="Draw answers of a model, judge them in the sandbox, and print scores.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tasks", nargs="+", metavar="TASK", help="names or patterns such as mbpp*")
    parser.add_argument(
        "--run",
        dest="folder",
        type=Path,
        metavar="FOLDER",
        help="run folder, new or to be gone on with (default: runs/eval-MODEL)",
    )
    add_model(parser)
    group = parser.add_argument_group("answers", "by default as the task declares")
    group.add_argument("--samples", type=int, metavar="N", help="answers to each problem")
    group.add_argument("--temperature", type=float, metavar="T", help="0 is greedy")
    group.add_argument("--top-p", type=float, metavar="P")
    group.add_argument("--max-tokens", type=int, metavar="N")
    group.add_argument("--limit", type=int, metavar="N", help="the first problems only")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same answers")
    group.add_argument(
        "--parallel", type=int, default=16, metavar="N", help="answers under way at once"
    )
    add_limits(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the tasks one after the other; scores go to stdout."""
    from quipu.evals.registry import find
    from quipu.evals.runner.run import run as run_task
    from quipu.evals.runner.settings import Settings
    from quipu.evals.task import Bounded

    tasks = find(args.tasks)
    with open_model(args) as llm:
        settings = Settings(
            samples=args.samples,
            temperature=args.temperature,
            top_p=args.top_p,
            max_tokens=args.max_tokens,
            limit=args.limit,
            seed=args.seed,
            model=model_facts(args),
            version=quipu.__version__,
            limits=limits_of(args),
            parallel=args.parallel,
            workers=args.workers,
        )
        folder = args.folder or Path("runs") / f"eval-{plain(llm.info.name)}"
        for task in tasks:
            with Watch() as watch:
                scores = run_task(
                    task,
                    llm,
                    folder,
                    settings,
                    watch.tell,
                    open_judge=lambda: opened(args),
                )
            print(line(scores), flush=True)
            if isinstance(task, Bounded) and (missing := task.left_out(llm.info.context)):
                told = f"{task.declaration.name}: left out: {missing}"
                Console(stderr=True).print(told, highlight=False)
    Console(stderr=True).print(
        f"quipu eval report {folder}   says more", style="dim", highlight=False
    )
    return 0


def line(scores: "Scores") -> str:
    """A task's scores in one line."""
    shown = [
        f"{name} {100 * value:.1f} %" if 0 <= value <= 1 else f"{name} {value:.4g}"
        for name, value in scores.scores.items()
    ]
    counts = f"{scores.problems} problems, {scores.samples} samples" if scores.problems else ""
    others = [
        f"{count} {status}"
        for status, count in sorted(scores.statuses.items())
        if status in ("timeout", "memory", "crashed")
    ]
    if failed := scores.statuses.get("sandbox_error"):
        others.append(f"{failed} without a verdict (sandbox_error): run again to judge them")
    return " · ".join(
        part
        for part in (scores.task, ", ".join(shown) or "no verdicts", counts, ", ".join(others))
        if part
    )


class Watch:
    """Progress on stderr: a bar on a terminal, a line now and then in a log."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=self._console, disable=not self._live
        )
        self._task = self._bar.add_task("", total=None)
        self._began = self._logged = self._bar.get_time()

    def __enter__(self) -> "Watch":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, standing: "Standing") -> None:
        """Show where the run stands."""
        now = self._bar.get_time()
        text = _text(standing, now - self._began)
        if self._live:
            self._bar.update(
                self._task,
                total=standing.of_samples,
                completed=standing.judged,
                description=text,
            )
        elif now - self._logged >= _LOG_EVERY_S:
            self._logged = now
            self._console.print(
                f"{standing.task}: {standing.judged}/{standing.of_samples} · {text}",
                highlight=False,
            )


def _text(standing: "Standing", seconds: float) -> str:
    parts = [f"{standing.task}"]
    if standing.of_problems:
        parts.append(f"{standing.problems}/{standing.of_problems} problems")
        parts.append(f"{standing.samples} answers")
    if standing.tokens:
        parts.append(f"{standing.tokens / max(seconds, 1e-3):,.0f} tokens/s")
    if standing.of_problems and standing.judged:
        parts.append(f"{100 * standing.rate:.1f} % so far")
    if standing.alone:
        parts.append(f"{standing.alone} time-outs judged once more")
    return " · ".join(parts)


def model_facts(args: argparse.Namespace) -> dict[str, str]:
    """What tells this model from others: its files, and how it is computed.

    A server is told by its model's name alone: it may move.
    """
    kind = args.backend or "native"
    scheme, _, rest = kind.partition(":")
    facts = {"backend": "server" if scheme.startswith("http") else scheme}
    if kind in ("native", "torch"):
        facts["fingerprint"] = fingerprint(model_path(args.model))
    elif scheme not in ("http", "https") and rest:
        facts["fingerprint"] = fingerprint(Path(rest))
    for name in ("dtype", "kv_dtype", "device"):
        if getattr(args, name) is not None:
            facts[name] = getattr(args, name)
    if kind == "torch" and args.device is None:  # the device also decides the type of weights
        import torch

        facts["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    return facts


def fingerprint(path: Path) -> str:
    """A hash of a model's file, or of the files of its folder by name.

    Of files too large to read in a moment it takes a page of each quarter of a mebibyte, which no
    other training of the same model would share.
    """
    digest = hashlib.sha256()
    try:
        files = (
            sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
        )
        for file in files:
            size = file.stat().st_size
            digest.update(f"{file.name if path.is_dir() else ''}\0{size}\0".encode())
            with file.open("rb") as opened:
                if size <= _WHOLE:
                    digest.update(opened.read())
                else:
                    for place in range(0, size, _STEP):
                        opened.seek(place)
                        digest.update(opened.read(_PART))
    except OSError as error:
        raise QuipuError(f"model {path} cannot be read", got=error.strerror or error) from error
    return digest.hexdigest()


def plain(name: str) -> str:
    """A model's name as a folder's."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".") or "model"
