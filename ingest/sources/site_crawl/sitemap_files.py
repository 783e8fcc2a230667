"""Sitemaps (sitemaps.org): XML, an index of others, or a list of addresses; packed or not. Pure.

A sitemap is read as far as its limits and as far as it can be read; it says if it goes on. XML with
a DOCTYPE is not read on: sitemaps need none, and entities can be made to grow without end.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat  # nosec  # entities are refused with the DOCTYPE

from openalign.ingest.web.urls import MAX_URL_CHARS
from openalign.lines import lines_of

MAX_SITEMAP_BYTES = 50_000_000
"""Largest sitemap, unpacked: the protocol allows 50 MB."""

MAX_SITEMAP_URLS = 50_000
"""Addresses that are read of one: the protocol's limit, too."""

_GZIP_START = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_PIECE_BYTES = 1 << 20
_INDEX, _PAGES = "sitemapindex", "urlset"
_ENTRIES = {_INDEX: "sitemap", _PAGES: "url"}


class NotASitemapError(ValueError):
    """An answer is something else."""


@dataclass(slots=True)
class Sitemap:
    """What a sitemap names, as it spells it."""

    pages: list[str] = field(default_factory=list[str])
    sitemaps: list[str] = field(default_factory=list[str])
    is_cut: bool = False
    """Whether it goes on behind a limit."""

    is_broken: bool = False
    """Whether it could not be read to its end."""


class _LimitError(Exception):
    """A sitemap names more than is read."""


def read_sitemap(body: bytes) -> Sitemap:
    """Read a sitemap.

    Raises:
        NotASitemapError: neither XML with the protocol's elements nor a list of addresses.
    """
    sitemap = Sitemap()
    content = _unpacked(body, sitemap)
    if len(content) > MAX_SITEMAP_BYTES:
        content = content[:MAX_SITEMAP_BYTES]
        sitemap.is_cut = True
    # Blank lines before the XML declaration are the most frequent mistake.
    content = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if content.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        _read_xml(content, sitemap)
    else:
        _read_lines(content, sitemap)
    return sitemap


def _unpacked(body: bytes, sitemap: Sitemap) -> bytes:
    """Return the content of gzip members, as far as the limit; other bytes as they are."""
    if not body.startswith(_GZIP_START):
        return body
    content = bytearray()
    while body.startswith(_GZIP_START):
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        try:
            content += unpacker.decompress(body, MAX_SITEMAP_BYTES + 1 - len(content))
        except zlib.error:
            sitemap.is_broken = True
            break
        if len(content) > MAX_SITEMAP_BYTES:
            break
        if not unpacker.eof:
            sitemap.is_broken = True
            break
        body = unpacker.unused_data
    return bytes(content)


def _read_lines(content: bytes, sitemap: Sitemap) -> None:
    lines = [line.strip() for line in lines_of(content.decode(errors="replace"))]
    urls = [line for line in lines if line.lower().startswith(("http://", "https://"))]
    if not urls:
        raise NotASitemapError("no line is an address")
    sitemap.is_broken |= len(urls) < sum(1 for line in lines if line)
    sitemap.is_cut |= len(urls) > MAX_SITEMAP_URLS
    sitemap.pages = urls[:MAX_SITEMAP_URLS]


def _read_xml(content: bytes, sitemap: Sitemap) -> None:
    reader = _XmlReader(sitemap)
    try:
        for start in range(0, len(content), _PIECE_BYTES):
            reader.feed(content[start : start + _PIECE_BYTES])
        reader.end()
    except _LimitError:
        sitemap.is_cut = True
    except expat.ExpatError:
        # What the limit of bytes cuts has no end tags.
        sitemap.is_broken |= not sitemap.is_cut
    if not reader.root:
        raise NotASitemapError("its outermost element is not that of a sitemap")


class _XmlReader:
    """Collects `loc` elements. Those of extensions, such as images, lie deeper and are not asked.

    Namespaces are not looked at, because many sitemaps have wrong ones.
    """

    def __init__(self, sitemap: Sitemap) -> None:
        self._sitemap = sitemap
        self.root = ""
        self._depth = 0
        self._is_entry = False
        self._text: list[str] | None = None
        self._num_chars = 0
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._refuse
        self._parse: Callable[[bytes, bool], int] = parser.Parse

    def feed(self, piece: bytes) -> None:
        self._parse(piece, False)

    def end(self) -> None:
        self._parse(b"", True)

    def _refuse(self, *_: object) -> None:
        raise expat.ExpatError("a DOCTYPE")

    def _start(self, name: str, _: object) -> None:
        name = name.rpartition(":")[2]
        self._depth += 1
        if self._depth == 1:
            if name not in _ENTRIES:
                raise expat.ExpatError(f"the outermost element is {name}")
            self.root = name
        elif self._depth == 2:
            self._is_entry = name == _ENTRIES[self.root]
        elif self._depth == 3 and self._is_entry and name == "loc":
            self._text, self._num_chars = [], 0

    def _characters(self, text: str) -> None:
        if self._text is not None and self._num_chars <= MAX_URL_CHARS:
            self._text.append(text)
            self._num_chars += len(text)

    def _end(self, _: str) -> None:
        self._depth -= 1
        if self._depth != 2 or self._text is None:
            return
        url, self._text = "".join(self._text).strip(), None
        if not url:
            return
        named = self._sitemap.pages if self.root == _PAGES else self._sitemap.sitemaps
        if len(named) == MAX_SITEMAP_URLS:
            raise _LimitError
        named.append(url)
