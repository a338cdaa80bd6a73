"""quipu bench: how fast a model answers on this machine."""

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from quipu.backend.protocol import Backend, Stream
from quipu.cli import options
from quipu.cli.memory import peak_bytes
from quipu.errors import BackendError, PromptTooLong, UsageError
from quipu.request import Request, Sampling

EPILOG = """\
examples:
  quipu bench                                            the embedded model
  quipu bench --model m.gguf --prompt-tokens 2048 --batch 8
  quipu bench --model PATH --backend torch --dtype bfloat16 --json

Prompts are random token ids, new ones in each round, so that nothing comes out of the prefix
cache; answers are greedy and do not stop at the end token. A round that is not counted comes
first. Figures are medians over the rounds:

  load_s                 from asking for the model to a model that takes requests
  cold_first_token_s     load_s, and the first token of the first request of all
  first_token_s          from a request to its first token
  prefill_tokens_per_s   prompt tokens of all sequences, up to the last one's first token
  decode_tokens_per_s    tokens of all sequences together, while all of them are answering
  peak_bytes             memory of this process at its largest, pages of mapped files included"""

# Sequences begin to answer one after another, while later ones' prompts are computed; each is
# asked for so many tokens more as steps may pass meanwhile, so that all still run with the last.
SMALLEST_STEP = 64  # prompt tokens that a step computes at least
SPARE_TOKENS = 64  # of memory for keys and values: pages are not full, and some are kept in reserve


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every round asks for."""

    prompt_tokens: int
    new_tokens: int
    batch: int
    rounds: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "new_tokens", "batch", "rounds"):
            value = getattr(self, name)
            if value < 1:
                raise UsageError(f"--{name.replace('_', '-')}", got=value, allowed="1 or more")
        if self.seed < 0:
            raise UsageError("--seed", got=self.seed, allowed="0 or more")

    def extra_tokens(self, sequence: int) -> int:
        """Tokens that a sequence may have to wait for the last one to begin."""
        steps = -(-self.prompt_tokens // SMALLEST_STEP) + 1
        return (self.batch - 1 - sequence) * steps

    @property
    def longest(self) -> int:
        """Tokens of the sequence that is asked for most."""
        return self.prompt_tokens + self.new_tokens + self.extra_tokens(0)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round measured."""

    first_token_s: float
    prefill_tokens_per_s: float
    decode_tokens_per_s: float | None  # None: there was one token only


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `quipu`."""
    parser = subparsers.add_parser(
        "bench",
        help="measure how fast a model answers here",
        description="Measure how fast a model answers on this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_model(parser)
    group = parser.add_argument_group("measurement")
    for name, default, text in (
        ("--prompt-tokens", 512, "tokens of each prompt"),
        ("--new-tokens", 64, "tokens of each answer"),
        ("--batch", 1, "sequences at the same time"),
        ("--rounds", 3, "how often"),
        ("--seed", 0, "of the prompts"),
    ):
        group.add_argument(
            name, type=int, default=default, metavar="N", help=f"{text} (default {default})"
        )
    group.add_argument(
        "--speculate",
        action="store_const",
        const=True,
        help="verify guessed tokens, as other commands do by default; one sequence only",
    )
    group.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Load the model, measure, and write the figures to stdout."""
    plan = Plan(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Plan)})
    settle(args, plan)
    started = time.perf_counter()
    with options.open_model(args) as llm:
        load_s = time.perf_counter() - started
        check_fits(plan, llm.info.context)
        warm_up, *rounds = measured(llm.backend, plan)
        name = llm.info.name
    found = {
        "model": name,
        **dataclasses.asdict(plan),
        **figures(rounds),
        "load_s": load_s,
        "cold_first_token_s": load_s + warm_up.first_token_s,
        "peak_bytes": peak_bytes(),
    }
    if args.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        _print(Console(), found)
    return 0


def settle(args: argparse.Namespace, plan: Plan) -> None:
    """Fill in what a measurement needs and a user seldom gives. Raises UsageError."""
    if args.speculate and plan.batch > 1:
        raise UsageError("--speculate", got=f"--batch {plan.batch}", allowed="a batch of 1")
    if args.backend in (None, "native", "torch"):
        args.speculate = bool(args.speculate)
    if args.backend in (None, "native") and args.kv_tokens is None:
        args.kv_tokens = plan.batch * (plan.longest + SPARE_TOKENS)


def check_fits(plan: Plan, context: int) -> None:
    """Raise PromptTooLong unless prompt and answer fit the context."""
    if plan.longest > context:
        raise PromptTooLong(
            "prompt and answer must fit the model's context",
            got=f"{plan.longest} tokens for a batch of {plan.batch}",
            allowed=f"up to {context}",
            remedy="ask for fewer with --prompt-tokens and --new-tokens",
        )


def measured(backend: Backend, plan: Plan) -> Iterator[Round]:
    """One round to warm up, then those that count; a bar on stderr if a person is there."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("Warming up", total=plan.rounds + 1)
        for number in range(plan.rounds + 1):
            yield measure(backend, plan, number)
            bar.update(task, advance=1, description=f"Round {number + 1} of {plan.rounds}")


def measure(backend: Backend, plan: Plan, number: int) -> Round:
    """One round: all requests at once, the clock read as their tokens arrive here."""
    requests = _requests(plan, number, backend.tokenizer.vocab)
    started = time.perf_counter()
    streams = [backend.submit(request) for request in requests]
    try:
        first_s = [_first_token(stream) - started for stream in streams]
        decoded = sum(len(piece.token_ids) for piece in streams[-1])
        end_s = time.perf_counter() - started
    finally:
        for stream in streams:
            stream.cancel()
    _check_whole(plan, decoded, streams)
    prefill_s = max(first_s)
    rate = plan.batch * decoded / (end_s - prefill_s) if decoded else None
    return Round(
        first_token_s=min(first_s),
        prefill_tokens_per_s=plan.batch * plan.prompt_tokens / prefill_s,
        decode_tokens_per_s=rate,
    )


def _requests(plan: Plan, number: int, vocab: int) -> list[Request]:
    draws = np.random.default_rng([plan.seed, number])
    prompts = draws.integers(vocab, size=(plan.batch, plan.prompt_tokens))
    return [
        Request(
            prompt=tuple(prompt),
            sampling=Sampling(max_tokens=plan.new_tokens + plan.extra_tokens(sequence)),
        )
        for sequence, prompt in enumerate(prompts.tolist())
    ]


def _first_token(stream: Stream) -> float:
    """When the first token of an answer arrives."""
    for piece in stream:
        if piece.token_ids:
            return time.perf_counter()
    raise BackendError("the backend gave no token", remedy="see its own log")


def _check_whole(plan: Plan, decoded: int, streams: list[Stream]) -> None:
    """A rate means nothing if sequences ended before the last one did."""
    if decoded != plan.new_tokens - 1:
        raise BackendError(
            "the backend ended an answer early",
            got=f"{decoded + 1} tokens",
            allowed=f"{plan.new_tokens}",
            remedy="give it more memory for keys and values, or ask for fewer tokens",
        )
    # Those that began earlier must have as many tokens at least, the first already taken.
    others = [sum(len(piece.token_ids) for piece in stream) + 1 for stream in streams[:-1]]
    if min(others, default=plan.new_tokens) < plan.new_tokens:
        raise BackendError(
            "the sequences did not answer together",
            got=f"{min(others)} tokens of one when the last had {plan.new_tokens}",
            remedy="use a smaller --batch, or more memory for keys and values",
        )


def figures(rounds: list[Round]) -> dict[str, object]:
    """Medians under their names, and median, least and greatest of each under `spread`."""
    medians: dict[str, object] = {}
    spread: dict[str, object] = {}
    for field in dataclasses.fields(Round):
        values = [getattr(entry, field.name) for entry in rounds]
        if None in values:
            medians[field.name] = None
            continue
        medians[field.name] = statistics.median(values)
        spread[field.name] = {
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
        }
    return {**medians, "spread": spread}


def _print(console: Console, found: dict[str, object]) -> None:
    spread = found["spread"]
    assert isinstance(spread, dict)
    console.print(
        f"[bold]{found['model']}[/bold]: {found['batch']} x {found['prompt_tokens']} prompt tokens,"
        f" {found['new_tokens']} new, median (least to greatest) of {found['rounds']}",
        highlight=False,
    )
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for label, key, unit in (
        ("prefill", "prefill_tokens_per_s", "tokens/s"),
        ("decode", "decode_tokens_per_s", "tokens/s"),
        ("first token", "first_token_s", "s"),
    ):
        of = spread.get(key)
        text = f"{of['median']:,.4g} {unit} ({of['min']:,.4g} to {of['max']:,.4g})" if of else "-"
        table.add_row(label, text)
    table.add_row("load", f"{found['load_s']:.3g} s")
    table.add_row("cold start", f"{found['cold_first_token_s']:.3g} s to the first token")
    peak = found["peak_bytes"]
    table.add_row("memory", f"{peak / 2**20:,.0f} MiB at most" if isinstance(peak, int) else "-")
    console.print(table)
