"""Images that lie somewhere already: what they are called, and where they lie.

The canonical URL of an image that came with none is the name of its bytes (RFC 6920), so it is the
same wherever the bytes lie. A locator says where that is, within the folder of a source. It is no
part of a key: an image that is moved stays the same image.
"""

import base64
import re
from dataclasses import dataclass
from typing import Self

_NAMED = re.compile(r"(.+)#(\d+)\+(\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Locator:
    """A stretch of a file, as `NAME#OFFSET+LENGTH`; an image that is a file begins at 0."""

    name: str
    """Of the file, relative to the folder of its source."""

    offset: int
    length: int

    def __str__(self) -> str:
        return f"{self.name}#{self.offset}+{self.length}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the locator that a text spells."""
        found = _NAMED.fullmatch(text)
        assert found is not None, f"{text} is no locator"
        return cls(found[1], int(found[2]), int(found[3]))


def url_of_bytes(sha256: str) -> str:
    """Return the URL that names an image by its bytes; `sha256` is their hash in hex."""
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    return f"ni:///sha-256;{digest}"
