"""Options that several commands share, and how they become requests and models."""

import argparse
import os
import sys
from pathlib import Path

from quipu.errors import TextError, UsageError
from quipu.llm import LLM, load
from quipu.request import Sampling

API_KEY = "QUIPU_API_KEY"  # environment: a key on the command line would be seen by every process


def add_model(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--backend` and what belongs to them."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        nargs="?",
        metavar="NAME|PATH",
        help="a folder (Hugging Face or Meta layout), a .gguf or .quipu file, or an embedded name; "
        "default: the embedded model",
    )
    group.add_argument(
        "--backend",
        metavar="native|torch|URL",
        help="native (default: C++ on the CPU), torch (for a GPU), or an OpenAI-compatible server "
        "such as http://localhost:8000/v1; then --model is the server's name for it, and "
        f"{API_KEY} in the environment its key",
    )
    group.add_argument("--tokenizer", metavar="PATH", help="tokenizer of a server's model")
    group.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="tokens of prompt and answer together, if a server does not tell",
    )
    group.add_argument(
        "--dtype",
        metavar="TYPE",
        help="of weights; native: float32, bfloat16, int8, int4 (default: as stored, at most 16 "
        "bits); torch: float32 (default on a CPU), bfloat16",
    )
    group.add_argument("--device", metavar="cpu|cuda", help="of torch (default: cuda if there is)")
    group.add_argument(
        "--threads", type=int, metavar="N", help="of native (default: all that it may use)"
    )
    group.add_argument(
        "--kv-dtype",
        metavar="TYPE",
        help="of native's keys and values: float32, bfloat16 (default), int8",
    )
    group.add_argument(
        "--kv-tokens",
        type=int,
        metavar="N",
        help="tokens that native's keys and values have memory for (default: as memory allows)",
    )
    group.add_argument(
        "--no-speculation",
        dest="speculate",
        action="store_const",
        const=False,
        help="compute tokens one by one, also where the text repeats itself; same answers",
    )


def open_model(args: argparse.Namespace) -> LLM:
    """The model that the options name."""
    key = os.environ.get(API_KEY) if (args.backend or "").startswith("http") else None
    return load(
        args.model,
        args.backend,
        tokenizer=args.tokenizer,
        context=args.context,
        device=args.device,
        dtype=args.dtype,
        threads=args.threads,
        kv_dtype=args.kv_dtype,
        kv_tokens=args.kv_tokens,
        api_key=key,
        speculate=args.speculate,
    )


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Options of `Sampling`, and `--json`."""
    group = parser.add_argument_group("answer")
    group.add_argument("--max-tokens", type=int, default=128, metavar="N", help="default 128")
    group.add_argument(
        "--temperature", type=float, default=0.0, metavar="X", help="0 (default) is greedy"
    )
    group.add_argument("--top-p", type=float, default=1.0, metavar="X")
    group.add_argument("--top-k", type=int, default=0, metavar="N")
    group.add_argument("--min-p", type=float, default=0.0, metavar="X")
    group.add_argument("--repetition-penalty", type=float, default=1.0, metavar="X")
    group.add_argument("--seed", type=int, metavar="N", help="same seed, same text")
    group.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end before it; repeatable"
    )
    group.add_argument("--n", type=int, default=1, metavar="N", help="so many answers")
    group.add_argument(
        "--logprobs",
        type=int,
        nargs="?",
        const=0,
        metavar="K",
        help="log-probabilities of the tokens and of K alternatives (with --json)",
    )
    group.add_argument("--json", action="store_true", help="one JSON object per answer")


def sampling(args: argparse.Namespace) -> Sampling:
    """The request's options. Raises UsageError for values out of range."""
    return Sampling(
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        min_p=args.min_p,
        repetition_penalty=args.repetition_penalty,
        seed=args.seed,
        stop=tuple(args.stop),
        n=args.n,
        logprobs=args.logprobs,
    )


def decode(data: bytes, name: str) -> str:
    """UTF-8 as text, line ends untouched. Raises TextError with the place of the first bad byte."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TextError(
            f"{name} is not UTF-8",
            got=f"byte 0x{data[error.start]:02x} at offset {error.start} (line {line})",
            allowed="UTF-8 text",
            remedy="convert it, for example with iconv",
        ) from None


def read_input(name: str | None) -> str:
    """Text of a file, or of stdin for `-` and for no name when something is piped in."""
    if name in (None, "-"):
        if name is None and sys.stdin.isatty():
            raise UsageError("no text to work on", remedy="give it as an argument, or pipe it in")
        return decode(sys.stdin.buffer.read(), "stdin")
    assert name is not None
    return decode(read_bytes(Path(name)), name)


def read_bytes(path: Path) -> bytes:
    """Content of a file; UsageError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"file {path}", got=error.strerror, allowed="a readable file") from None
