"""Templates of this folder, filled in."""

from typing import Any

from quipu.errors import DataError
from quipu.evals.report import wording

_FILTERS = (wording.percent, wording.signed, wording.number, wording.value, wording.interval,
            wording.points, wording.probability, wording.printed, wording.decoding)  # fmt: skip


def render(name: str, *, escape: bool, **values: object) -> str:
    """A template with these values; `escape` for HTML. DataError without jinja2 or matplotlib."""
    text: str = _environment(escape).get_template(name).render(**values)
    return text


def cell(text: object) -> str:
    """Text for a cell of a Markdown table: one line, its bars and backquotes harmless."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("`", "'")


def _environment(escape: bool) -> Any:
    try:
        import matplotlib  # noqa: F401 - told before any work
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise DataError(
            "a report needs the packages jinja2 and matplotlib",
            remedy="install quipu-code with the extra `data`",
        ) from error
    found = Environment(
        loader=PackageLoader("quipu.evals.report", "templates"),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for word in (*_FILTERS, cell):
        found.filters[word.__name__] = word
    return found
