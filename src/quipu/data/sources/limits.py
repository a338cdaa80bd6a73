"""How much an archive may hold: a bomb is told from a large package by what it unpacks to."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of reading one archive."""

    file_bytes: int = 1_000_000  # of a document; nothing larger was written by a person
    licence_bytes: int = 400_000  # of a licence text
    members: int = 500_000
    unpacked_bytes: int = 8 * 2**30
    ratio: int = 300  # unpacked to packed; sources reach 20
    free_bytes: int = 64 * 2**20  # unpacked to any size below this, whatever the ratio
    kept_bytes: int = 2 * 2**30  # text of one archive, before it is packed in memory


class TooMuch(Exception):
    """An archive passed a limit; the message says which."""


class Source(Protocol):
    """What bytes are read from."""

    def read(self, size: int = -1, /) -> bytes: ...


class Meter:
    """Counts what an archive unpacks to, and stops it beyond the limits."""

    def __init__(self, limits: Limits, packed_bytes: int) -> None:
        self.limits = limits
        self.packed_bytes = packed_bytes
        self.unpacked_bytes = 0
        self.members = 0

    def member(self) -> None:
        """One more member."""
        self.members += 1
        if self.members > self.limits.members:
            raise TooMuch(f"more than {self.limits.members} members")

    def unpacked(self, size: int) -> None:
        """So many bytes more."""
        self.unpacked_bytes += size
        if self.unpacked_bytes > self.limits.unpacked_bytes:
            raise TooMuch(f"unpacks to more than {self.limits.unpacked_bytes} bytes")
        allowed = max(self.limits.free_bytes, self.limits.ratio * self.packed_bytes)
        if self.unpacked_bytes > allowed:
            raise TooMuch(f"unpacks to more than {self.limits.ratio} times its size")


class Metered:
    """A source whose bytes are counted."""

    def __init__(self, source: Source, meter: Meter) -> None:
        self.source = source
        self.meter = meter

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, as the source has them."""
        found = self.source.read(size)
        self.meter.unpacked(len(found))
        return found
