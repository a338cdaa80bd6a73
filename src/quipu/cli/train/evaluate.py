"""quipu train evaluate: what checkpoints know of text that nobody trains on."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from quipu.errors import QuipuError, UsageError

NEAREST = 64  # tokens before, from which on loss by position is printed

EPILOG = """\
Checkpoints are evaluated apart from the loop, each once; a line of each goes to
RUN/evaluations.jsonl: loss and bits per byte of every held-out group, loss by position, single
lines written exactly (PSM and SPM), and the loss on rows of the run's own mixture. --watch goes on
while the run does. Which text and lines are asked depends on --seed alone.

examples:
  quipu train evaluate runs/tiny --corpus corpora/tiny            a run, or all stages of a chain
  quipu train evaluate runs/tiny --corpus corpora/tiny --watch
  quipu train evaluate --model models/tiny --corpus corpora/tiny  any model, any tokenizer
  quipu train evaluate --model MODEL --corpus CORPUS --packages --groups python --row-tokens 16384
                                                                  what a long context is worth
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the parser of `quipu train`."""
    parser = verbs.add_parser(
        "evaluate",
        help="measure checkpoints on held-out text",
        description="Measure checkpoints of a run on text that was held out.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", nargs="?", type=Path, metavar="RUN", help="of a run or a chain")
    parser.add_argument("--model", type=Path, metavar="PATH", help="a model instead of a run")
    parser.add_argument("--corpus", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--watch", action="store_true", help="until the run is finished")
    parser.add_argument(
        "--which", default="all", choices=("all", "milestones", "newest"), help="checkpoints"
    )
    parser.add_argument("--again", action="store_true", help="also what was evaluated before")
    for name, default, text in (
        ("--rows", 64, "of each held-out group"),
        ("--lines", 100, "to infill, of each held-out group"),
        ("--seed", 0, "which text and lines"),
    ):
        parser.add_argument(
            name, type=int, default=default, metavar="N", help=f"{text} (default {default})"
        )
    parser.add_argument(
        "--groups", nargs="+", default=[], metavar="GROUP", help="held out (default: all)"
    )
    parser.add_argument(
        "--packages",
        action="store_true",
        default=None,
        help="files of a package see each other, so that all positions hold the same kind of text "
        "(default: as the run trains)",
    )
    parser.add_argument("--row-tokens", type=int, metavar="N", help="default: as the run trains")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: the recipe's")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--json", action="store_true", help="print one object per checkpoint")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, one line on stdout for each checkpoint."""
    if (args.path is None) == (args.model is None):
        raise UsageError("what to evaluate", allowed="a RUN folder, or --model PATH")
    try:
        from quipu.train.evaluations import Asked, evaluate_model, evaluations
    except ModuleNotFoundError as error:
        raise QuipuError(
            f"evaluating a run needs {error.name}", remedy="pip install 'quipu-code[train]'"
        ) from error
    asked = Asked(
        corpus=args.corpus,
        rows=args.rows,
        lines=args.lines,
        row_tokens=args.row_tokens,
        joined=args.packages,
        groups=tuple(args.groups),
        seed=args.seed,
        dtype=args.dtype,
        device=args.device,
        which=args.which,
        again=args.again,
    )
    if args.model is not None:
        _print(str(args.model), evaluate_model(args.model, asked), args.json)
        return 0
    return _runs(evaluations(args.path, asked, watch=args.watch), args)


def _runs(found: Any, args: argparse.Namespace) -> int:
    count = 0
    for evaluated in found:
        count += 1
        name = f"{evaluated.run.name} step {evaluated.line['step']:,}"
        told = {"run": str(evaluated.run), **evaluated.line}
        _print(name, told, args.json)
    if not count:
        print("nothing new to evaluate (--again does it anew)", file=sys.stderr)
    return 0


def _print(name: str, line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(line), flush=True)
        return
    print(name)
    for source, found in line["sources"].items():
        text = f"  {source:<12} loss {found['loss']:.3f}  {found['bits_per_byte']:.3f} bits/byte"
        for order, exact in line["infilling"].get(source, {}).items():
            text += f"  {order.upper()} {exact['hits']} of {exact['lines']}"
        print(text)
    parts = [f"{s['loss']:.3f}" for s in line["by_position"] if s["first"] >= NEAREST]
    if parts:
        print(f"  loss after {NEAREST}, {2 * NEAREST}, ... tokens: {', '.join(parts)}")
    if line.get("mixture"):
        print(f"  own mixture  loss {line['mixture']['loss']:.3f}", flush=True)
