"""Queries of addresses in a page's encoding, as browsers ask for them (WHATWG URL, 4.4)."""

from functools import cache, partial
from urllib.parse import quote_from_bytes

from openalign.ingest.web.urls import Escape
from openalign.ingest.webpage.page_text.whatwg import decode

_SAFE = "".join(chr(byte) for byte in range(0x21, 0x7F) if chr(byte) not in "\"#<>'")
"""All that is not in the standard's special-query percent-encode set."""

_IN_UTF_8 = ("utf-8", "utf-16le", "utf-16be", "replacement")

# The first bytes of pairs. What else stands for a character that has a pair is only decoded.
_LEADS = {
    "big5": range(0xA1, 0xFF),
    "euc-jp": range(0x8E, 0xFF),
    "euc-kr": range(0x81, 0xFF),
    "gb18030": range(0x80, 0xFF),
    "gbk": range(0x81, 0xFF),
    "shift_jis": (*range(0x81, 0xA0), *range(0xE0, 0xED), *range(0xFA, 0xFD)),
}
_LAST_OF_BIG5 = "\u2550\u255e\u2561\u256a\u5341\u5345"
"""Of their pairs the last one stands for them, of others the first."""


def query_escape(encoding: str) -> Escape | None:
    """Return how a page escapes characters in queries; None where it does so in UTF-8.

    `encoding` is the standard's name.
    """
    return None if encoding in _IN_UTF_8 else partial(_escaped, encoding=encoding)


def _escaped(text: str, *, encoding: str) -> str:
    known = _escapes(encoding)
    escaped = "".join(
        char if char.isascii() else known.get(char) or _escape_of_rest(char, encoding)
        for char in text
    )
    # Characters side by side share the escapes to and from two bytes.
    return escaped.replace("%1B(B%1B$B", "") if encoding == "iso-2022-jp" else escaped


def _escape_of_rest(char: str, encoding: str) -> str:
    """Return the escape of a character without a byte or two: four, or its number in HTML."""
    if encoding == "gb18030":
        return quote_from_bytes(char.encode(encoding), _SAFE)
    return f"%26%23{ord(char)}%3B"


@cache
def _escapes(encoding: str) -> dict[str, str]:
    """Return the escapes of the characters that have a byte or two."""
    codes = _codes("euc-jp" if encoding == "iso-2022-jp" else encoding)
    if encoding == "iso-2022-jp":
        codes = {
            char: b"\x1b$B" + bytes(byte & 0x7F for byte in code) + b"\x1b(B"
            for char, code in codes.items()
            if code[0] > 0x8E  # no katakana of half width
        }
    return {char: quote_from_bytes(code, _SAFE) for char, code in codes.items()}


def _codes(encoding: str) -> dict[str, bytes]:
    codes: dict[str, bytes] = {}
    leads = _LEADS.get(encoding, ())
    singles = [bytes([byte]) for byte in range(0x80, 0x100) if byte not in leads]
    pairs = [bytes([lead, trail]) for lead in leads for trail in range(0x40, 0xFF)]
    for code in (*singles, *pairs):
        char = decode(code, encoding, is_cut=False)
        if len(char) == 1 and char != "\ufffd":
            is_last = encoding == "big5" and char in _LAST_OF_BIG5
            codes[char] = code if is_last else codes.get(char, code)
    if encoding in ("shift_jis", "euc-jp"):
        codes |= {"\xa5": b"\\", "\u203e": b"~", "\u2212": codes["\uff0d"]}
    return codes
