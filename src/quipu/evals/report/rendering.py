"""Templates of this folder, filled in."""

from quipu.evals.report import wording
from quipu.pages.templates import environment

_FILTERS = (wording.percent, wording.signed, wording.number, wording.value, wording.interval,
            wording.points, wording.probability, wording.printed, wording.decoding)  # fmt: skip


def render(name: str, *, escape: bool, **values: object) -> str:
    """A template with these values; `escape` for HTML. DataError without jinja2 or matplotlib."""
    found = environment("quipu.evals.report", escape=escape, filters=(*_FILTERS, cell))
    text: str = found.get_template(name).render(**values)
    return text


def cell(text: object) -> str:
    """Text for a cell of a Markdown table: one line, its bars and backquotes harmless."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("`", "'")
