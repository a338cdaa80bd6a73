"""Templates of this folder, filled in."""

from typing import Any

from quipu.data.report import wording
from quipu.errors import DataError


def render(name: str, *, escape: bool, **values: object) -> str:
    """A template with these values; `escape` for HTML. DataError without jinja2."""
    text: str = _environment(escape).get_template(name).render(**values)
    return text


def _environment(escape: bool) -> Any:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise DataError(
            "a report needs the packages jinja2 and matplotlib",
            remedy="install quipu-code with the extra `data`",
        ) from error
    found = Environment(
        loader=PackageLoader("quipu.data.report", "templates"),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for word in (wording.size, wording.number, wording.millions, wording.group):
        found.filters[word.__name__] = word
    found.globals["share"] = wording.share
    return found
