"""quipu eval scorecard: many benchmarks against one model, and a page about them."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

import quipu
from quipu.cli.eval.judge import add_limits, limits_of, opened
from quipu.cli.eval.run import Watch, line, model_facts, plain
from quipu.cli.options import add_model, open_model
from quipu.errors import AbilityError, DataError, SandboxError

if TYPE_CHECKING:
    from quipu.evals.runner.scores import Scores
    from quipu.evals.runner.settings import Settings
    from quipu.evals.scorecard.plan import Part
    from quipu.llm import LLM

EPILOG = """\
Each benchmark is asked as far as a small model needs it; the page says how far, and under which
protocol. Benchmarks whose data or toolchain is not here, or that the model has no ability for, are
left out, and said to be. Line completion, docstrings and perplexity need documents that the model
has not seen: --documents FILE, JSON lines with "text"; else pieces of RepoBench's sample.

The same command goes on where a scorecard stopped. `quipu eval report RUN` says more about it.

examples:
  quipu eval scorecard                                     the embedded model
  quipu eval scorecard --model PATH --to docs/models/mine-scorecard
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "scorecard",
        help="many benchmarks of one model, on one page",
        description="Run many benchmarks against a model, resumable, and write a page about them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--run", dest="folder", type=Path, metavar="FOLDER", help="default: runs/scorecard-MODEL"
    )
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="write the page there (default: the run's folder)"
    )
    parser.add_argument("--documents", type=Path, metavar="FILE.jsonl", help="texts not trained on")
    parser.add_argument("--parallel", type=int, default=16, metavar="N", help="answers at once")
    add_model(parser)
    add_limits(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run all parts; their scores and the page's files go to stdout."""
    from quipu.evals.data import data_folder
    from quipu.evals.scorecard import documents, page
    from quipu.evals.scorecard.plan import parts
    from quipu.evals.task import Bounded

    texts = documents.own(args.documents) if args.documents else documents.sample(None)
    left_out: dict[str, str] = {}
    with open_model(args) as llm:
        name = llm.info.name
        folder = args.folder or Path("runs") / f"scorecard-{plain(name)}"
        own = folder.parent / f"{folder.name}.data"
        documents.write(texts, own)
        for part in parts():
            declared = part.task.declaration
            lies = all((data_folder() / each.path).exists() for each in declared.data)
            made = all((own / each.path).exists() for each in declared.data)
            try:
                scores = _scores(args, llm, folder, part, own if made and not lies else None)
            except (AbilityError, DataError, SandboxError) as error:
                left_out[declared.title] = str(error)
                Console(stderr=True).print(f"{declared.name}: left out: {error}", highlight=False)
                continue
            print(line(scores), flush=True)
            if isinstance(part.task, Bounded) and (why := part.task.left_out(llm.info.context)):
                left_out[f"{declared.title}, in part"] = why
    settings = f"model {name}, {llm.info.context:,} tokens of context; Quipu {quipu.__version__}"
    source = f"the user's {len(texts)}" if args.documents else f"{len(texts)} of RepoBench's sample"
    said = (
        "Line completion, docstrings and perplexity are asked in their benchmarks' formats, on"
        f" documents that are not the benchmarks' own: {source}."
    )
    written = page.write(
        folder,
        args.to or folder,
        model=name,
        settings=settings,
        documents=said,
        left_out=left_out,
    )
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return 0


def _scores(
    args: argparse.Namespace, llm: "LLM", folder: Path, part: "Part", data: Path | None
) -> "Scores":
    from quipu.evals.runner.run import run as run_task

    with Watch() as watch:
        return run_task(
            part.task,
            llm,
            folder,
            _settings(args, part, data),
            watch.tell,
            open_judge=lambda: opened(args),
        )


def _settings(args: argparse.Namespace, part: "Part", data: Path | None) -> "Settings":
    from quipu.evals.runner.settings import Settings

    return Settings(
        samples=part.samples,
        max_tokens=part.max_tokens,
        limit=part.limit,
        model=model_facts(args),
        version=quipu.__version__,
        limits=limits_of(args),
        parallel=args.parallel,
        workers=args.workers,
        data=data,
    )
