"""HTML to candidates: every image of a page with each of its texts, as found (ALIGN §3).

Which texts count is a setting; each makes a candidate of its own. An image without one is counted,
and so is one whose address is no http URL. Candidates and counts add up to the pairs that were
found on the page.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from openalign.files.states import FoundIn
from openalign.ingest.webpage.addresses.image_address import Attributes, ImageAddress, Offer
from openalign.ingest.webpage.allocator import keep_freed_memory
from openalign.ingest.webpage.cost.budget import require_parsable
from openalign.ingest.webpage.elements.document import Document
from openalign.ingest.webpage.elements.images import add_images
from openalign.ingest.webpage.elements.images_to_judge import ImagesToJudge, judge_one_by_one
from openalign.ingest.webpage.elements.json_ld import described_images
from openalign.ingest.webpage.elements.languages import Languages
from openalign.ingest.webpage.elements.meta_images import OPEN_GRAPH, TWITTER, meta_images
from openalign.ingest.webpage.elements.pairs import FoundPair, PairsFound
from openalign.ingest.webpage.page_text.encoding import (
    PageText,
    decode_as,
    decode_page,
    encoding_of_meta_element,
)
from openalign.ingest.webpage.page_text.query import query_escape
from openalign.ingest.webpage.page_text.xhtml import as_html
from openalign.ingest.webpage.texts import TextKind

# The parser's side effects would copy an option's content into another element.
_PARSER_OPTIONS = LexborDocumentOptions.WO_EVENTS.value

_JSON_LD = "application/ld+json"
_META_IMAGES: dict[TextKind, tuple[str, FoundIn]] = {
    "og_image": (OPEN_GRAPH, FoundIn.OG_IMAGE),
    "twitter_image": (TWITTER, FoundIn.TWITTER_IMAGE),
}


@dataclass(slots=True, kw_only=True)
class PageContent:
    """What was found on a page."""

    pairs: list[FoundPair] = field(default_factory=list[FoundPair])
    dropped: Counter[str] = field(default_factory=Counter)
    """Pairs that do not become candidates, by `HarvestState`."""

    links: list[str] = field(default_factory=list[str])
    """Canonical URLs, sorted, each once; those that ask not to be followed are elsewhere. Empty
    where links were not asked for."""

    nofollow_links: list[str] = field(default_factory=list[str])
    """Likewise, those that say `rel=nofollow` wherever they stand on the page."""

    language: str | None = None
    """Lower-case primary subtag of the html element's language; None if it is unknown."""

    directives: list[str] = field(default_factory=list[str])
    """The contents of the page's robots meta elements, ours included."""

    reserves_tdm: bool = False
    """Whether a meta element reserves text and data mining."""

    encoding: str = "utf-8"
    """The standard's name of the encoding that the page was read in."""

    images: ImagesToJudge | None = None
    """Images that are still to be judged, beside those of many other pages."""


def parse_page(
    body: bytes,
    *,
    page_url: str,
    charset: str | None,
    content_language: str | None = None,
    texts: Collection[TextKind],
    is_xml: bool = False,
    is_cut: bool = False,
    with_links: bool = True,
    images_later: bool = False,
) -> PageContent:
    """Read a page; `charset` and `content_language` are what the server said about it.

    `page_url` is canonical. `texts` are the kinds that count. `is_xml` says that the server
    declared XHTML; `is_cut` that the page goes on behind the last byte. A source that follows no
    links does without them. `images_later` leaves most images to be judged later, if the page's
    pairs are within its budget whatever they turn out to be.

    Raises:
        PageTooComplexError: the page costs more than its budget.
    """
    keep_freed_memory()
    decoded = decode_page(body, charset, is_xml=is_xml, is_cut=is_cut)
    tree = _tree(decoded, is_xml=is_xml)
    if decoded.is_guess and not is_xml and (named := _late_encoding(tree, decoded)):
        decoded = decode_as(body, named, is_cut=is_cut)
        tree = _tree(decoded, is_xml=is_xml)
    escape = query_escape(decoded.encoding)
    document = Document(tree, page_url, escape=escape)
    scripts = document.scripts_of_type(_JSON_LD) if "json_ld" in texts else []
    document.remove_scripts()
    metas = Metas(document.metas)
    languages = Languages(document, metas.language or only_one(content_language))
    found = PairsFound()
    images = ImagesToJudge(base=document.base, page_url=page_url, found=found, escape=escape)
    add_images(found, document, languages, texts, later=images if images_later else None)
    add_named_images(found, document.address, metas.named, texts, languages.of_page)
    for script in scripts:
        _add_described_images(found, document, script, languages.of_page)
    page = PageContent(
        pairs=found.pairs,
        dropped=found.dropped,
        language=languages.of_page,
        directives=metas.directives,
        reserves_tdm=metas.reserves_tdm,
        encoding=decoded.encoding,
        images=to_judge_later(images),
    )
    if with_links:
        _add_links(page, document)
    return page


def _tree(decoded: PageText, *, is_xml: bool) -> LexborHTMLParser:
    content = as_html(decoded.text).encode() if is_xml else decoded.content
    require_parsable(content)
    return LexborHTMLParser(content, options=_PARSER_OPTIONS)


def _late_encoding(tree: LexborHTMLParser, decoded: PageText) -> str | None:
    """Return the encoding that a meta element behind the first kilobyte names, if another."""
    for meta in tree.css("meta"):
        of = meta.attributes
        named = encoding_of_meta_element(of.get("charset"), of.get("http-equiv"), of.get("content"))
        if named:
            return named if named != decoded.encoding else None
    return None


def only_one(content_language: str | None) -> str | None:
    """Return the language of a page whose server or meta element names one (HTML 4.2.5.3)."""
    return None if "," in (content_language or "") else content_language


class Metas:
    """What the meta elements of a page say."""

    def __init__(self, elements: Iterable[Attributes]) -> None:
        self.named: list[tuple[str, str]] = []
        """Names, in lower case, and contents."""

        self.directives: list[str] = []
        self.reserves_tdm = False
        self.language: str | None = None
        for attributes in elements:
            # Images are named by `property`, HTML goes by `name`: an opt-out may stand in either.
            keys = [(attributes.get(key) or "").strip().lower() for key in ("property", "name")]
            content = attributes.get("content") or ""
            if name := keys[0] or keys[1]:
                self.named.append((name, content))
            if (attributes.get("http-equiv") or "").strip().lower() == "content-language":
                words = (only_one(content) or "").split()
                self.language = words[0] if words else self.language
            if "tdm-reservation" in keys:
                self.reserves_tdm = self.reserves_tdm or content.strip() == "1"
            if any(key.partition("/")[0] in ("robots", "openalign") for key in keys):
                self.directives.append(content)


def to_judge_later(images: ImagesToJudge) -> ImagesToJudge | None:
    """Return a page's images if any are left, which are judged now if their pairs may be too long.

    Raises:
        PageTooComplexError: they are.
    """
    if not images.raws:
        return None
    if images.are_short():
        return images
    judge_one_by_one(images)
    return None


def add_named_images(
    found: PairsFound,
    address_of: Callable[[Iterable[Offer]], ImageAddress],
    metas: Sequence[tuple[str, str]],
    texts: Collection[TextKind],
    language: str | None,
) -> None:
    """Add the images that a page's meta elements name, with the texts that count."""
    for kind, (root, place) in _META_IMAGES.items():
        for image in meta_images(metas, root) if kind in texts else ():
            for text in image.texts:
                found.add(address_of(image.offers), text, place, language)


def _add_described_images(
    found: PairsFound, document: Document, script: str, language: str | None
) -> None:
    for image in described_images(script):
        found.add(document.address(image.offers), image.text, image.place, language)


def _add_links(page: PageContent, document: Document) -> None:
    links: dict[str, bool] = {}
    for anchor in document.elements("a, area"):
        attributes = anchor.attributes
        raw = (attributes.get("href") or "").strip()
        url = document.url(raw) if raw else None
        if url is not None:
            may_follow = "nofollow" not in (attributes.get("rel") or "").lower().split()
            links[url] = links.get(url, False) or may_follow
    page.links = sorted(url for url, may_follow in links.items() if may_follow)
    page.nofollow_links = sorted(url for url, may_follow in links.items() if not may_follow)
