"""Files of one archive between being unpacked and being handed on, in bounded memory."""

import zlib

PLAIN_BYTES = 64 * 2**20  # kept as they are; later ones are packed


class Shelf:
    """Bytes by name. Most archives fit as they are; a large one's later files are compressed."""

    def __init__(self) -> None:
        self.bytes = 0
        self._plain: dict[str, bytes] = {}
        self._packed: dict[str, bytes] = {}
        self._plain_bytes = 0

    def put(self, name: str, content: bytes) -> None:
        """Keep the bytes."""
        self.bytes += len(content)
        if self._plain_bytes + len(content) <= PLAIN_BYTES:
            self._plain_bytes += len(content)
            self._plain[name] = content
        else:
            self._packed[name] = zlib.compress(content, 1)

    def take(self, name: str) -> bytes:
        """The bytes; they are not kept any longer."""
        if name in self._plain:
            return self._plain.pop(name)
        return zlib.decompress(self._packed.pop(name))
