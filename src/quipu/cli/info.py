"""`quipu info`: what a model is, what it can do, and how much memory it needs."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from quipu.checkpoint.footprint import Description, describe
from quipu.checkpoint.opening import open_checkpoint
from quipu.checkpoint.tokenizer_facts import TokenizerFacts
from quipu.config import ModelConfig
from quipu.llm import model_path

_DESCRIPTION = """\
Print configuration, layout, tokenizer, formats and abilities of a model, and the
memory that it needs for a given context and number of users. Nothing is loaded:
even 70B takes a moment."""

_EPILOG = """\
examples:
  quipu info CodeLlama-7b-hf
  quipu info CodeLlama-34b.gguf --context 16384 --users 4
  quipu info CodeLlama-7b.quipu --json"""

_LAYOUTS = {
    "hf": "Hugging Face (safetensors)",
    "meta": "Meta (consolidated.pth)",
    "gguf": "GGUF",
    "native": "native (packed for the runtime of this package)",
}
_CHAT = {"inst": "yes, [INST] … [/INST]", "source": "yes, Source: … Destination: …"}

Row = tuple[str, str]


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `quipu`."""
    parser = subparsers.add_parser(
        "info",
        help="show what a model is, can do and needs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help="folder, file or embedded name; default: the embedded model",
    )
    parser.add_argument(
        "--context",
        metavar="N",
        type=int,
        help="tokens of each user (default: all that the model was trained for)",
    )
    parser.add_argument(
        "--users", metavar="N", type=int, default=1, help="users at the same time (default: 1)"
    )
    parser.add_argument(
        "--rope-theta",
        metavar="X",
        type=float,
        help="rotary base, for a model that does not say it or says it wrong",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Describe a model on stdout, as a table or as JSON."""
    checkpoint = open_checkpoint(model_path(args.model), rope_theta=args.rope_theta)
    description = describe(checkpoint, context=args.context, users=args.users)
    if args.json:
        sys.stdout.write(json.dumps(_values(description), ensure_ascii=False) + "\n")
    else:
        _print(Console(), description)
    return 0


def _values(description: Description) -> dict[str, object]:
    values = dataclasses.asdict(description)
    tokenizer = values["tokenizer"]
    if tokenizer is not None:
        for key in ("added", "chat_template"):
            tokenizer.pop(key)
    return values


def _print(console: Console, description: Description) -> None:
    console.print(Text(description.name, style="bold"))
    for title, rows in (
        ("Model", _model_rows(description)),
        ("Tokenizer", _tokenizer_rows(description)),
        ("Abilities", _ability_rows(description)),
        ("Memory", _memory_rows(description)),
    ):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="cyan", width=14, no_wrap=True)
        table.add_column(overflow="fold")
        for label, value in rows:
            table.add_row(label, Text(value))
        console.print()
        console.print(Text(title, style="bold"))
        console.print(table)


def _model_rows(description: Description) -> Iterable[Row]:
    config, needs = description.config, description.footprint
    yield "layout", _LAYOUTS[description.layout]
    formats = ", ".join(f"{count} in {name}" for name, count in description.formats.items())
    yield "weights", f"{_short(needs.parameters)} parameters, {_size(needs.weight_bytes)}"
    yield "formats", formats
    yield "shape", f"width {config.dim:,}, {config.layers} layers, feed-forward {config.ffn:,}"
    yield "heads", _heads(config)
    yield "vocabulary", f"{config.vocab:,}" + (", output tied to embedding" if config.tied else "")
    yield "context", f"{config.context:,} tokens"
    yield "rotary", _rotary(config)


def _heads(config: ModelConfig) -> str:
    shared = "" if config.kv_heads == config.heads else f", {config.kv_heads} for keys and values"
    return f"{config.heads} of size {config.head_size}{shared}"


def _rotary(config: ModelConfig) -> str:
    scaling = config.rope_scaling
    stretched = f", {scaling.kind} scaling by {scaling.factor:g}" if scaling else ""
    return f"theta {config.rope_theta:,.0f}{stretched}"


def _tokenizer_rows(description: Description) -> Iterable[Row]:
    facts = description.tokenizer
    if facts is None:
        yield "files", "none that can be read"
        return
    yield "files", ", ".join(description.tokenizer_files)
    yield "token ids", _fit(facts, description.config.vocab)
    ends = {"begin": facts.bos_id, "end": facts.eos_id, "step": facts.step_id}
    yield "specials", ", ".join(f"{name} {token}" for name, token in ends.items() if token) or "-"
    if facts.infill:
        names = ("prefix", "suffix", "middle", "end of infill")
        pairs = zip(names, facts.infill, strict=True)
        yield "infilling", ", ".join(f"{name} {token}" for name, token in pairs)


def _fit(facts: TokenizerFacts, vocab: int) -> str:
    if facts.vocab > vocab:
        return f"{facts.vocab:,}: DOES NOT FIT the {vocab:,} rows of the embedding"
    if facts.vocab < vocab:
        return f"{facts.vocab:,} (embedding padded to {vocab:,})"
    return f"{facts.vocab:,}"


def _ability_rows(description: Description) -> Iterable[Row]:
    abilities = description.abilities
    yield "complete", "yes"
    yield "infill", "yes" if abilities.infill else "no"
    yield "chat", _CHAT[abilities.chat] if abilities.chat else "no"


def _memory_rows(description: Description) -> Iterable[Row]:
    needs = description.footprint
    users = "1 user" if needs.users == 1 else f"{needs.users} users"
    yield "weights", _size(needs.weight_bytes)
    yield (
        "keys, values",
        f"{_size(needs.kv_bytes)} for {users} with {needs.context:,} tokens"
        f" ({_size(needs.kv_bytes_per_token)} a token, 16 bit)",
    )
    yield "together", f"{_size(needs.total_bytes)}, activations not counted"
    yield "work", f"{_flops(needs.flops_per_token)} a token at {needs.context:,} tokens"


def _short(count: int) -> str:
    """1,234,567,890 as 1.23B."""
    return _scaled(count, 1000, ("", "K", "M", "B", "T"))


def _flops(count: int) -> str:
    return _scaled(count, 1000, (" FLOP", " KFLOP", " MFLOP", " GFLOP", " TFLOP"))


def _size(size: int) -> str:
    """Bytes with a binary unit."""
    return _scaled(size, 1024, (" B", " KiB", " MiB", " GiB", " TiB"))


def _scaled(number: float, step: int, units: Sequence[str]) -> str:
    for unit in units[:-1]:
        if number < step:
            return f"{number:.{max(3, len(str(int(number))))}g}{unit}"
        number /= step
    return f"{number:,.4g}{units[-1]}"
