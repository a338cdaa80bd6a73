"""Templates of a package, in its folder `templates`."""

from collections.abc import Callable, Sequence
from typing import Any

from quipu.errors import DataError


def environment(package: str, *, escape: bool, filters: Sequence[Callable[..., object]]) -> Any:
    """Templates with these filters, by their names; `escape` for HTML.

    Raises DataError without jinja2 or matplotlib, before any work is done.
    """
    try:
        import matplotlib  # noqa: F401 - told before any work
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise DataError(
            "a report needs the packages jinja2 and matplotlib",
            remedy="install quipu-code with the extra `data`",
        ) from error
    found = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for word in filters:
        found.filters[word.__name__] = word
    return found
