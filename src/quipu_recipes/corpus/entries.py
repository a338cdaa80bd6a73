"""Lists of packages as text: one `NAME==VERSION` a word, or one a line with what to read of it."""

from collections.abc import Iterator, Mapping

from quipu.data.sources.packages import Package


def words(text: str, ecosystem: str, take: Mapping[str, tuple[str, ...]]) -> Iterator[Package]:
    """Packages of a list in which every word is one; `take` says which are read in part."""
    for word in text.split():
        yield _package(ecosystem, word, take.get(word.partition("==")[0], ()))


def lines(text: str, ecosystem: str, prose: bool = False) -> Iterator[Package]:
    """Packages of a list in which every line is one; an indented line goes on with the last."""
    for line in text.replace("\n ", " ").splitlines():
        if line.strip():
            word, *take = line.split()
            yield _package(ecosystem, word, tuple(take), prose)


def _package(ecosystem: str, word: str, take: tuple[str, ...], prose: bool = False) -> Package:
    name, _, version = word.partition("==")
    assert version, f"{word}: every package has its version"
    return Package(ecosystem=ecosystem, name=name, version=version, take=take, prose=prose)
