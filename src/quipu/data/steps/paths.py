"""Steps that look at the path alone."""

import hashlib
import re
from dataclasses import dataclass, replace

from quipu.data import languages
from quipu.data.documents import Document
from quipu.data.steps.subject import path_of

_VENDORED = (
    "_bundled",
    "_internal_vendor",
    "_vendor",
    "_vendored",
    "3rd_party",
    "3rdparty",
    "bower_components",
    "bundled",
    "deps",
    "dist-packages",
    "ext_lib",
    "extern",
    "externals",
    "jspm_packages",
    "node_modules",
    "site-packages",
    "third-party",
    "third_party",
    "thirdparty",
    "vendor",
    "vendored",
)
_TEST_FOLDERS = re.compile(
    r"tests?|testsuite|test-?data|__tests__|__mocks__|specs?|idle_test|unittests|e2e|fixtures"
)
_TEST_FILE = re.compile(
    r"(?:test_[^/]*|[^/]*_tests?|conftest|tests?|[^/]*[.-](?:test|spec)|[^/]*[a-z0-9]Tests?|TestCase)"
    r"\.[A-Za-z]+"
)


@dataclass(frozen=True, kw_only=True)
class Language:
    """Sets language and group from the path or the first line, where the source set none."""

    def __call__(self, document: Document) -> Document:
        if document.language:
            return document
        language = languages.language_of(path_of(document), document.text)
        group = document.group or languages.group_of(language)
        return replace(document, language=language, group=group)


@dataclass(frozen=True, kw_only=True)
class Vendored:
    """Drops copies of other people's packages: the package itself is where they belong."""

    names: tuple[str, ...] = _VENDORED

    def __call__(self, document: Document) -> str | None:
        folders = path_of(document).lower().split("/")[:-1]
        return next((f"vendored: {name}" for name in folders if name in self.names), None)


@dataclass(frozen=True, kw_only=True)
class Tests:
    """Drops most test files; the share `keep` that stays is chosen by document id.

    In packages a quarter of all code is tests, more than a model should see
    (research: weigh them down to a tenth).
    """

    __test__ = False  # a step, whatever pytest makes of its name
    keep: float = 0.1

    def __call__(self, document: Document) -> str | None:
        if not is_test(path_of(document)):
            return None
        digest = hashlib.sha256(b"tests\0" + document.id.encode("utf-8", "surrogatepass")).digest()
        kept = int.from_bytes(digest[:8], "big") < self.keep * 2**64
        return None if kept else "tests: not in the share that stays"


def is_test(path: str) -> bool:
    """Whether a path names a test, in the habits of any of the languages."""
    *folders, name = path.split("/")
    return any(_TEST_FOLDERS.fullmatch(folder.lower()) for folder in folders) or bool(
        _TEST_FILE.fullmatch(name)
    )
