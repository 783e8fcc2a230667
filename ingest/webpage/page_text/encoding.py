"""The text behind a page's bytes, as browsers find it: WHATWG Encoding and HTML 13.2.3."""

import codecs
import re
from dataclasses import dataclass

import webencodings

from openalign.ingest.webpage.page_text.whatwg import decode, utf8_of

_PRESCAN_BYTES = 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
_TAG_START = re.compile(
    rb"<(?:(!--)|(meta)(?=[\t\n\f\r /])|(/?[a-z][^\t\n\f\r >]*)|[!/?])", re.IGNORECASE
)
_ATTRIBUTE = re.compile(
    rb"[\t\n\f\r /]*+([^\t\n\f\r />][^\t\n\f\r />=]*+)"
    rb"(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+"
    rb"(?:\"([^\"]*+)\"|'([^']*+)'|([^\t\n\f\r >\"'][^\t\n\f\r >]*+))?)?"
)
_CHARSET_IN_CONTENT = re.compile(
    r"charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r ;\"'][^\t\n\f\r ;]*))",
    re.IGNORECASE,
)
_XML_DECLARATION = re.compile(
    rb"<\?xml[\t\n\f\r ][^>]*?encoding[\x00- ]*=[\x00- ]*(?:\"([!-~]+?)\"|'([!-~]+?)')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageText:
    """A page's text, and how sure its encoding is."""

    content: bytes
    """In UTF-8, which the parser reads."""

    encoding: str
    """The standard's name of the encoding that the page is in."""

    is_guess: bool
    """Whether nothing before the page's content named the encoding. A meta element further down may
    name it."""

    @property
    def text(self) -> str:
        """Return the text itself."""
        return self.content.decode()


def decode_page(
    body: bytes, charset: str | None, *, is_xml: bool = False, is_cut: bool = False
) -> PageText:
    """Return a page's text: byte order mark, then server, then the page itself, then a guess.

    Bytes that the encoding does not know become U+FFFD. A label that names no encoding is skipped.
    `charset` is the server's label. A page that was cut may end inside a character, which is left
    out.
    """
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return decode_as(body[len(mark) :], encoding, is_cut=is_cut)
    encoding = encoding_of_label(charset) or (
        (None if is_xml else _encoding_of_meta(body)) or _encoding_of_xml(body)
    )
    is_guess = encoding is None
    if encoding is None:
        encoding = "utf-8" if _is_likely_utf8(body, is_cut=is_cut) else "windows-1252"
    content = utf8_of(body, encoding, is_cut=is_cut)
    return PageText(content=content, encoding=encoding, is_guess=is_guess)


def decode_as(body: bytes, encoding: str, *, is_cut: bool = False) -> PageText:
    """Return a page's text in an encoding that is known by now."""
    content = utf8_of(body, encoding, is_cut=is_cut)
    return PageText(content=content, encoding=encoding, is_guess=False)


def encoding_of_label(label: str | None) -> str | None:
    """Return the standard's name of the encoding that a label stands for, or None."""
    found = webencodings.lookup((label or "").strip("\t\n\f\r \"'"))
    return found.name if found is not None else None


def encoding_of_meta_element(
    charset: str | None, http_equiv: str | None, content: str | None
) -> str | None:
    """Return the encoding that a meta element's attributes name, or None (HTML 4.2.5.4).

    A meta element that can be read shows that the page is not UTF-16.
    """
    if charset is None and (http_equiv or "").strip().lower() == "content-type":
        named = _CHARSET_IN_CONTENT.search(content or "")
        charset = next(filter(None, named.groups()), None) if named else None
    encoding = encoding_of_label(charset)
    if encoding == "x-user-defined":
        return "windows-1252"
    return "utf-8" if encoding in ("utf-16le", "utf-16be") else encoding


def _encoding_of_meta(body: bytes) -> str | None:
    """Return what a meta element in the first 1024 bytes names; comments are passed over."""
    head = body[:_PRESCAN_BYTES]
    place = 0
    while tag := _TAG_START.search(head, place):
        place = tag.end()
        is_comment, is_meta, name = tag.groups()
        if is_comment:
            # The dashes that open a comment may be those that close it.
            end = head.find(b"-->", tag.start() + 2)
            if end < 0:
                return None
            place = end + 3
        elif is_meta or name:
            attributes, place = _attributes(head, place)
            if is_meta and (encoding := _encoding_of_attributes(attributes)):
                return encoding
        else:
            end = head.find(b">", place)
            if end < 0:
                return None
            place = end + 1
    return None


def _attributes(head: bytes, place: int) -> tuple[dict[str, str], int]:
    attributes: dict[str, str] = {}
    while found := _ATTRIBUTE.match(head, place):
        place = found.end()
        name, *values = (group.decode("latin-1") for group in found.groups(b""))
        attributes.setdefault(name.lower(), "".join(values))
    return attributes, place


def _encoding_of_attributes(attributes: dict[str, str]) -> str | None:
    return encoding_of_meta_element(
        attributes.get("charset"), attributes.get("http-equiv"), attributes.get("content")
    )


def _encoding_of_xml(body: bytes) -> str | None:
    """Return what an XML declaration names."""
    if body.startswith(b"<\0?\0x\0"):
        return "utf-16le"
    if body.startswith(b"\0<\0?\0x"):
        return "utf-16be"
    named = _XML_DECLARATION.match(body[:_PRESCAN_BYTES])
    if named is None:
        return None
    encoding = encoding_of_label((named.group(1) or named.group(2)).decode("ascii"))
    return "utf-8" if encoding in ("utf-16le", "utf-16be") else encoding


def _is_likely_utf8(body: bytes, *, is_cut: bool) -> bool:
    """Tell whether bytes without a label are UTF-8, a few broken ones apart.

    Text of another encoding holds hardly a sequence that is valid UTF-8 beside ASCII. So UTF-8 is
    what has more such characters than broken places.
    """
    text = decode(body, "utf-8", is_cut=is_cut)
    num_broken = text.count("\ufffd") - body.count("\ufffd".encode())
    if num_broken == 0:
        return True
    num_others = len(text) - len(text.encode("ascii", "ignore"))
    return num_others - num_broken > num_broken
