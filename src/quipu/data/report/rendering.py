"""Templates of this folder, filled in."""

from quipu.data.report import wording
from quipu.pages.templates import environment

_FILTERS = (wording.size, wording.number, wording.millions, wording.group)


def render(name: str, *, escape: bool, **values: object) -> str:
    """A template with these values; `escape` for HTML. DataError without jinja2 or matplotlib."""
    found = environment("quipu.data.report", escape=escape, filters=_FILTERS)
    text: str = found.get_template(name).render(share=wording.share, **values)
    return text
