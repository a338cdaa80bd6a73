"""quipu eval judge: whole programs in, verdicts out."""

import argparse
import base64
import json
import os
import sys
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from quipu import jsonl
from quipu.errors import QuipuError, UsageError
from quipu.sandbox.judge import LocalJudge, open_judge
from quipu.sandbox.languages import LANGUAGES
from quipu.sandbox.program import Judge, Limits, Outcome

EPILOG = """\
Each line in is {"id", "language", "program", "stdin"?}: a whole program with its tests, which has
passed if it ends with exit code 0. Each line out is {"id", "status", "stdout", "stderr", "cpu_s",
"wall_s", "peak_bytes", "detail"}, in the order of the input. Status is one of

  passed  failed  timeout  memory  crashed        of the program
  sandbox_error                                   of the sandbox: no verdict at all

CPU time decides, not wall time, so that a busy machine gives the same verdicts. With --to, programs
that the file already has a verdict for are not run again.

examples:
  quipu eval judge programs.jsonl --to outcomes.jsonl --workers 8
  quipu eval judge programs.jsonl --sandbox http://linux-machine:8642
  echo '{"id": 1, "language": "python", "program": "assert 1 + 1 == 2"}' | quipu eval judge -
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "judge",
        help="run programs in the sandbox",
        description=f"Build and run whole programs, confined: {', '.join(LANGUAGES)}.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("programs", metavar="PROGRAMS.jsonl", help="- for standard input")
    parser.add_argument("--to", type=Path, metavar="FILE", help="write there, and resume from it")
    parser.add_argument(
        "--complete",
        action="store_true",
        help="Python programs must reach their last statement: leaving early is failing",
    )
    add_limits(parser)
    parser.set_defaults(run=run)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """The options of everything that runs programs."""
    group = parser.add_argument_group("sandbox")
    add_place(group)
    group.add_argument("--cpu-seconds", type=float, default=Limits().cpu_s, metavar="S")
    group.add_argument("--wall-seconds", type=float, default=Limits().wall_s, metavar="S")
    group.add_argument("--memory-mb", type=int, default=2048, metavar="MB")


def add_place(group: "argparse._ArgumentGroup") -> None:
    """Where programs run, how many at once, and what may be lacking."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    group.add_argument(
        "--workers", type=int, default=cores or 1, metavar="N", help="programs at once"
    )
    group.add_argument(
        "--sandbox",
        default=os.environ.get("QUIPU_SANDBOX") or "local",
        metavar="WHERE",
        help="local (default); bubblewrap, where only bwrap may make namespaces; or the address of"
        " quipu eval serve, http://HOST:PORT (or QUIPU_SANDBOX; its key in QUIPU_SANDBOX_KEY)",
    )
    group.add_argument(
        "--allow-weaker-sandbox",
        default="",
        metavar="LAYERS",
        help="run though these layers are missing (see quipu eval doctor)",
    )


def opened(args: argparse.Namespace) -> Judge:
    """The judge that the options name. Raises UsageError, SandboxError."""
    if "://" in args.sandbox:
        from quipu.evals.remote.client import RemoteJudge

        return RemoteJudge(args.sandbox, key())
    return opened_here(args)


def opened_here(args: argparse.Namespace) -> LocalJudge:
    """The judge that the options name, on this machine. Raises UsageError, SandboxError."""
    if args.sandbox not in ("local", "bubblewrap"):
        raise UsageError("--sandbox", got=args.sandbox, allowed="local, bubblewrap, or an address")
    data = os.environ.get("QUIPU_DATA")
    return open_judge(
        data=Path(data) if data else None,
        workers=args.workers,
        allow_weaker=[name for name in args.allow_weaker_sandbox.split(",") if name],
        bubblewrap=args.sandbox == "bubblewrap",
    )


def key() -> str | None:
    """What callers of a judge and the judge must agree on."""
    return os.environ.get("QUIPU_SANDBOX_KEY") or None


def limits_of(args: argparse.Namespace) -> Limits:
    """The bounds that the options name."""
    return Limits(
        cpu_s=args.cpu_seconds, wall_s=args.wall_seconds, memory_bytes=args.memory_mb * 2**20
    )


def run(args: argparse.Namespace) -> int:
    """Judge all programs; the counts go to stderr."""
    limits = limits_of(args)
    lines = list(_programs(args.programs))
    done = {json.dumps(line["id"]) for line in jsonl.read(args.to)} if _exists(args.to) else set()
    left = [line for line in lines if json.dumps(line["id"]) not in done]
    judge = opened(args)
    counts: Counter[str] = Counter()
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    try:
        with Progress(
            *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
        ) as bar:
            task = bar.add_task("", total=len(lines), completed=len(lines) - len(left))
            for line, outcome in judged(judge, left, limits, args.complete, args.workers):
                counts[outcome.status] += 1
                _write(args.to, line["id"], outcome)
                bar.update(task, advance=1, description=_summary(counts))
    finally:
        judge.close()
    console.print(_summary(counts) or "nothing left to judge", highlight=False)
    return 0


def judged(
    judge: Judge, lines: list[dict[str, object]], limits: Limits, complete: bool, workers: int
) -> Iterator[tuple[dict[str, object], Outcome]]:
    """Outcomes in the order of the lines, some of them at once."""

    def one(line: dict[str, object]) -> Outcome:
        return judge.judge(
            str(line["language"]),
            str(line["program"]),
            stdin=str(line.get("stdin") or "").encode(),
            limits=limits,
            complete=complete,
        )

    waiting: deque[tuple[dict[str, object], Future[Outcome]]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for line in lines:
            waiting.append((line, pool.submit(one, line)))
            if len(waiting) > 4 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _programs(name: str) -> Iterator[dict[str, object]]:
    path = Path("/dev/stdin") if name == "-" else Path(name)
    if not path.exists():
        raise QuipuError("programs to judge", got=f"no file {name}", remedy="check the path")
    for number, line in enumerate(jsonl.read(path), 1):
        lacking = [key for key in ("id", "language", "program") if key not in line]
        if lacking or line["language"] not in LANGUAGES:
            raise QuipuError(
                f"{name} line {number}",
                got=f"no {', no '.join(lacking)}" if lacking else f"language {line['language']}",
                allowed=f'"id", "program" and "language", one of {", ".join(LANGUAGES)}',
            )
        yield line


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()


def _write(path: Path | None, name: object, outcome: Outcome) -> None:
    line = {
        "id": name,
        "status": outcome.status,
        "stdout": _text(outcome.stdout),
        "stderr": _text(outcome.stderr),
        "cpu_s": round(outcome.cpu_s, 4),
        "wall_s": round(outcome.wall_s, 4),
        "peak_bytes": outcome.peak_bytes,
        "detail": outcome.detail,
    }
    if path is None:
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    else:
        jsonl.append(path, line)


def _text(data: bytes) -> str:
    """Output as text; bytes that are none are shown as `base64:` so that nothing is lost."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()


def _summary(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.most_common())
