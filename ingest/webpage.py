"""HTML to candidates: every image of a page with each of its texts, as found (ALIGN §3).

An image's texts are its alt attribute, its title attribute and the caption of its figure; each
makes a candidate of its own. An image without a text is counted, and so is one whose address is no
http URL. Candidates and counts add up to the pairs that were found on the page.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from openalign.files.states import FoundIn, HarvestState
from openalign.ingest.web.urls import canonical_url

# Pages that load images late keep the address here, and a placeholder in `src`.
_LAZY = ("data-src", "data-original", "data-lazy-src", "data-lazy")
_PRESCAN_BYTES = 1024
_META_CHARSET = re.compile(
    rb"""<meta[^>]{0,400}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Browsers read these labels as wider character sets (WHATWG Encoding).
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "tis-620": "cp874",
}
# Codecs of Python that are not the encoding of a page: they fail, or do not give text.
_NO_ENCODINGS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
_SRCSET = re.compile(r"[\s,]*(\S*[^\s,])(?:\s+([^,]*))?(?:,|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPair:
    """An image and one of its texts, as found on a page."""

    image_url: str
    alt_text: str
    found_in: str
    raw_image_url: str


@dataclass(slots=True, kw_only=True)
class PageContent:
    """What was found on a page."""

    pairs: list[FoundPair] = field(default_factory=list[FoundPair])
    dropped: Counter[str] = field(default_factory=Counter[str])
    """Pairs that do not become candidates, by `HarvestState`."""

    links: list[str] = field(default_factory=list[str])
    """Canonical URLs, sorted, each once."""

    language: str | None = None
    """Lower-case primary subtag of the html element's language; None if it names none."""

    directives: list[str] = field(default_factory=list[str])
    """The contents of the page's robots meta elements."""


def parse_page(body: bytes, *, page_url: str, charset: str | None) -> PageContent:
    """Read a page; `charset` is what the server said about its encoding."""
    tree = LexborHTMLParser(decode_html(body, charset))
    tree.strip_tags(["script", "style", "template"], recursive=True)
    page = PageContent(language=_language(tree))
    base = _base(tree, page_url)
    captions = _captions(tree)
    for image in tree.css("img"):
        _add_image(page, image, captions.get(image.mem_id, ""), base)
    _add_open_graph(page, tree, base)
    links = (canonical_url(raw, base) for raw in _attributes(tree, "a, area", "href"))
    page.links = sorted({url for url in links if url is not None})
    return page


def decode_html(body: bytes, charset: str | None) -> str:
    """Return a page's text: byte order mark, then server, then meta element, then a guess.

    Bytes that the encoding does not know become U+FFFD. A label that names no encoding is skipped.
    """
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body.decode(encoding, errors="replace").removeprefix("\ufeff")
    meta = _META_CHARSET.search(body[:_PRESCAN_BYTES])
    for label in (charset, meta.group(1).decode("ascii", "replace") if meta else None):
        if label and (known := _encoding(label)):
            # A readable meta element shows that the page is not UTF-16.
            known = "utf-8" if known.startswith("utf-16") and label != charset else known
            try:
                return body.decode(known, errors="replace")
            except (UnicodeError, LookupError):
                continue
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def _encoding(label: str) -> str | None:
    try:
        found = codecs.lookup(label.strip().strip("\"'"))
    except (LookupError, ValueError):
        return None
    if found.name in _NO_ENCODINGS or not getattr(found, "_is_text_encoding", True):
        return None
    return _WIDER.get(found.name, found.name)


def collapse(text: str) -> str:
    """Return a text with each run of white space as one space, and none at its ends."""
    return " ".join(text.replace("\0", " ").split())


def _add_image(page: PageContent, image: LexborNode, caption: str, base: str) -> None:
    attributes = image.attributes
    in_picture = image.parent is not None and image.parent.tag == "picture"
    where = FoundIn.PICTURE if in_picture else FoundIn.IMG_ALT
    texts = {
        where: collapse(attributes.get("alt") or ""),
        FoundIn.TITLE: collapse(attributes.get("title") or ""),
        FoundIn.FIGCAPTION: caption,
    }
    found = {place: text for place, text in texts.items() if text}
    if not found:
        page.dropped[HarvestState.NO_ALT_TEXT] += 1
        return
    raw = _address(attributes)
    if in_picture and _is_no_address(raw):
        raw = next(_source_addresses(image.parent), raw)
    for place, text in found.items():
        _add_pair(page, raw, text, place, base)


def _add_pair(page: PageContent, raw: str, text: str, place: FoundIn, base: str) -> None:
    if raw[:5].lower() == "data:":
        page.dropped[HarvestState.DATA_URL] += 1
        return
    url = canonical_url(raw, base) if raw else None
    if url is None:
        page.dropped[HarvestState.BAD_URL] += 1
        return
    page.pairs.append(
        FoundPair(image_url=url, alt_text=text, found_in=place.value, raw_image_url=raw)
    )


def _address(attributes: Mapping[str, str | None]) -> str:
    """Return an image's address as the page spells it, or an empty text when it has none."""
    for name in _LAZY:
        if value := (attributes.get(name) or "").strip():
            return value
    if value := largest_of_srcset(attributes.get("data-srcset") or ""):
        return value
    src = (attributes.get("src") or "").strip()
    if _is_no_address(src):
        return largest_of_srcset(attributes.get("srcset") or "") or src
    return src


def _is_no_address(raw: str) -> bool:
    return not raw or raw[:5].lower() == "data:"


def _source_addresses(picture: LexborNode | None) -> Iterator[str]:
    for source in picture.css("source") if picture is not None else []:
        for name in ("data-srcset", "srcset"):
            if value := largest_of_srcset(source.attributes.get(name) or ""):
                yield value


def largest_of_srcset(srcset: str) -> str:
    """Return the address with the greatest width or density, the first of equals."""
    best, best_size = "", 0.0
    for match in _SRCSET.finditer(srcset):
        size = _size(match.group(2) or "")
        if size > best_size:
            best, best_size = match.group(1), size
    return best


def _size(descriptor: str) -> float:
    match = re.match(r"\s*(\d{1,9}(?:\.\d{1,9})?)[wx]", descriptor)
    return float(match.group(1)) if match else 1.0


def _captions(tree: LexborHTMLParser) -> dict[int, str]:
    """Return the caption of each image in a figure; the innermost figure counts.

    A caption that holds another caption is left out, so that no text is read twice.
    """
    figures: dict[int, int | None] = {}
    around: dict[int, int | None] = {}
    found = tree.css("figcaption")
    holders = {_innermost(caption, "figcaption", around) for caption in found}
    texts: dict[int | None, str] = {}
    for caption in found:
        figure = _innermost(caption, "figure", figures)
        if figure not in texts and caption.mem_id not in holders:
            texts[figure] = collapse(caption.text())
    captions: dict[int, str] = {}
    for image in tree.css("img") if found else []:
        figure = _innermost(image, "figure", figures)
        if figure is not None:
            captions[image.mem_id] = texts.get(figure, "")
    return captions


def _innermost(node: LexborNode, tag: str, known: dict[int, int | None]) -> int | None:
    """Return the innermost element around a node. `known` keeps answers, so no step is repeated."""
    passed: list[int] = []
    found: int | None = None
    parent = node.parent
    while parent is not None:
        if parent.tag == tag:
            found = parent.mem_id
            break
        if parent.mem_id in known:
            found = known[parent.mem_id]
            break
        passed.append(parent.mem_id)
        parent = parent.parent
    known.update(dict.fromkeys(passed, found))
    return found


def _add_open_graph(page: PageContent, tree: LexborHTMLParser, base: str) -> None:
    """Pair each og:image with the og:image:alt that follows it."""
    address = ""
    for meta in tree.css("meta"):
        attributes = meta.attributes
        name = (attributes.get("property") or attributes.get("name") or "").strip().lower()
        content = attributes.get("content") or ""
        if name in ("og:image", "og:image:url"):
            address = content.strip()
        elif name == "og:image:alt" and (text := collapse(content)):
            _add_pair(page, address, text, FoundIn.OG_IMAGE, base)
        elif name in ("robots", "openalign"):
            page.directives.append(content)


def _base(tree: LexborHTMLParser, page_url: str) -> str:
    for href in _attributes(tree, "base", "href"):
        return canonical_url(href, page_url) or page_url
    return page_url


def _attributes(tree: LexborHTMLParser, selector: str, name: str) -> Iterator[str]:
    for node in tree.css(selector):
        if value := (node.attributes.get(name) or "").strip():
            yield value


def _language(tree: LexborHTMLParser) -> str | None:
    if tree.root is None:
        return None
    attributes = tree.root.attributes
    label = attributes.get("lang") or attributes.get("xml:lang") or ""
    primary = re.split("[-_]", label.strip(), maxsplit=1)[0].lower()
    return primary if re.fullmatch("[a-z]{2,8}", primary) else None
