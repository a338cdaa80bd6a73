"""Every step by the name that recipes, reasons and the command line use."""

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from quipu.data.decontamination.step import decontaminate
from quipu.data.dedup.in_memory import drop_duplicates
from quipu.data.dedup.settings import Near
from quipu.data.documents import Document, Map, Step
from quipu.data.licences import Licences
from quipu.data.steps.cap import Sized, over_cap
from quipu.data.steps.generated import Generated
from quipu.data.steps.paths import Language, Tests, Vendored
from quipu.data.steps.quality import Quality
from quipu.data.steps.redact import Redact
from quipu.data.steps.shape import DataLike, LongLines, Minified, TooShort
from quipu.data.steps.syntax import Parses
from quipu.errors import UsageError

WholeStep = Callable[[Iterable[Document]], Mapping[str, str]]  # id -> reason of the dropped
Factory = Callable[..., Step | Map]


def exact_duplicates() -> WholeStep:
    """Drops all but the best of documents with equal texts."""
    return lambda documents: drop_duplicates(documents, None)


def near_duplicates(*, jaccard: float = 0.7, shingle: int = 5) -> WholeStep:
    """Drops documents that share most of their token runs with a better one; equal texts too."""
    near = Near(jaccard=jaccard, shingle=shingle)
    return lambda documents: drop_duplicates(documents, near)


def cap(*, bytes_per_package: int = 20_000_000) -> WholeStep:
    """Drops what goes beyond the bytes of its package, the lowest quality first."""

    def run(documents: Iterable[Document]) -> Mapping[str, str]:
        sized = (
            Sized(
                id=document.id,
                package=document.package,
                quality=document.quality,
                bytes=len(document.text.encode("utf-8", "surrogatepass")),
            )
            for document in documents
        )
        over = over_cap(sized, bytes_per_package)
        return dict.fromkeys(sorted(over), f"cap: {bytes_per_package} bytes of its package")

    return run


# In the order in which a recipe runs them: what is cheap first, trees last. A redacted text is
# parsed once if it is redacted before anything asks for its tree.
STEPS: Mapping[str, Factory] = {
    "licence": Licences,
    "language": Language,
    "vendored": Vendored,
    "tests": Tests,
    "too-short": TooShort,
    "long-lines": LongLines,
    "minified": Minified,
    "data-like": DataLike,
    "generated": Generated,
    "redact": Redact,
    "parses": Parses,
    "quality": Quality,
    "decontaminate": decontaminate,
}
# These look at all documents before they say anything about one.
WHOLE: Mapping[str, Callable[..., WholeStep]] = {
    "exact-duplicates": exact_duplicates,
    "near-duplicates": near_duplicates,
    "cap": cap,
}


def make(name: str, options: Sequence[str]) -> Step | Map:
    """A step from its name and options such as `keep=0.2`; UsageError says what is allowed."""
    if name not in STEPS:
        raise UsageError("step", got=name, allowed=", ".join([*STEPS, *WHOLE]))
    return STEPS[name](**_options(name, STEPS[name], options))


def make_whole(name: str, options: Sequence[str]) -> WholeStep:
    """The same for a step over all documents."""
    return WHOLE[name](**_options(name, WHOLE[name], options))


def _options(
    name: str, factory: Callable[..., object], options: Sequence[str]
) -> dict[str, object]:
    allowed = parameters(factory)
    values: dict[str, object] = {}
    for option in options:
        key, equals, value = option.partition("=")
        key = key.replace("-", "_")
        if not equals or key not in allowed:
            names = ", ".join(f"{key}=…" for key in allowed) or "no options"
            raise UsageError(f"option of {name}", got=option, allowed=names)
        values[key] = _value(f"{name} {key}", value, allowed[key].annotation)
    missing = [
        key for key, one in allowed.items() if one.default is one.empty and key not in values
    ]
    if missing:
        raise UsageError(f"step {name}", got="no " + ", no ".join(missing), allowed="NAME=VALUE")
    return values


def parameters(factory: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    """The options of a factory."""
    return inspect.signature(factory, eval_str=True).parameters


def _value(what: str, text: str, kind: object) -> object:
    """A word of the command line as an option's type."""
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if types.NoneType in kinds and text.lower() == "none":
        return None
    if typing.get_origin(kinds[0]) is tuple:
        return tuple(filter(None, text.split(",")))
    try:
        return _READERS[kinds[0]](text)
    except (ValueError, KeyError) as error:
        raise UsageError(what, got=text, allowed=kind_name(kind)) from error


def kind_name(kind: object) -> str:
    """A type in words of the command line."""
    if isinstance(kind, types.UnionType):
        return " or ".join(map(kind_name, typing.get_args(kind)))
    return "a,b,…" if typing.get_origin(kind) is tuple else _KIND_NAMES[kind]


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_READERS: Mapping[object, Callable[[str], object]] = {
    bool: lambda text: _TRUTH[text.lower()],
    int: int,
    float: float,
    str: str,
    Path: Path,
}
_KIND_NAMES: Mapping[object, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    types.NoneType: "none",
}
