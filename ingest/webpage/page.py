"""HTML to candidates: every image of a page with each of its texts, as found (ALIGN §3).

An image's texts are its alt attribute, its title attribute and the caption of its figure; each
makes a candidate of its own. An image without a text is counted, and so is one whose address is no
http URL. Candidates and counts add up to the pairs that were found on the page.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from openalign.files.states import FoundIn, HarvestState
from openalign.ingest.web.urls import canonical_url
from openalign.ingest.webpage.budget import require_parsable, require_readable
from openalign.ingest.webpage.captions import captions_of
from openalign.ingest.webpage.encoding import (
    PageText,
    decode_as,
    decode_page,
    encoding_of_meta_element,
)
from openalign.ingest.webpage.image_address import (
    NO_ADDRESS,
    Attributes,
    ImageAddress,
    Offer,
    Promise,
    best_address,
    img_offers,
    source_offers,
)
from openalign.ingest.webpage.texts import collapse
from openalign.ingest.webpage.xhtml import as_html

# Three-letter codes that pages say where the standard has two letters (BCP 47, ISO 639).
_SHORT_LANGUAGES = {
    "ara": "ar",
    "chi": "zh",
    "deu": "de",
    "dut": "nl",
    "eng": "en",
    "fra": "fr",
    "fre": "fr",
    "ger": "de",
    "hin": "hi",
    "ita": "it",
    "jpn": "ja",
    "kor": "ko",
    "nld": "nl",
    "pol": "pl",
    "por": "pt",
    "rus": "ru",
    "spa": "es",
    "tur": "tr",
    "ukr": "uk",
    "vie": "vi",
    "zho": "zh",
}
# The parser's side effects would copy an option's content into another element.
_PARSER_OPTIONS = LexborDocumentOptions.WO_EVENTS.value


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
    """Canonical URLs, sorted, each once; those that ask not to be followed are elsewhere. Empty
    where links were not asked for."""

    nofollow_links: list[str] = field(default_factory=list[str])
    """Likewise, those that say `rel=nofollow` wherever they stand on the page."""

    language: str | None = None
    """Lower-case primary subtag of the html element's language; None if it names none."""

    directives: list[str] = field(default_factory=list[str])
    """The contents of the page's robots meta elements, ours included."""

    reserves_tdm: bool = False
    """Whether a meta element reserves text and data mining."""

    encoding: str = "utf-8"
    """The standard's name of the encoding that the page was read in."""


def parse_page(
    body: bytes,
    *,
    page_url: str,
    charset: str | None,
    is_xml: bool = False,
    is_cut: bool = False,
    with_links: bool = True,
) -> PageContent:
    """Read a page; `charset` is what the server said about its encoding.

    `page_url` is canonical. `is_xml` says that the server declared XHTML; `is_cut` that the page
    goes on behind the last byte. A source that follows no links does without them.

    Raises:
        PageTooComplexError: the page costs more than its budget.
    """
    decoded = decode_page(body, charset, is_xml=is_xml, is_cut=is_cut)
    tree = _tree(decoded, is_xml=is_xml)
    if decoded.is_guess and not is_xml and (named := _late_encoding(tree, decoded)):
        decoded = decode_as(body, named, is_cut=is_cut)
        tree = _tree(decoded, is_xml=is_xml)
    page = PageContent(language=_language(tree), encoding=decoded.encoding)
    base = _base(tree, page_url)
    images = tree.css("img")
    anchors = tree.css("a, area") if with_links else []
    require_readable(len(images) + len(anchors) + len(tree.css("source, meta, figcaption")))
    _add_images(page, images, captions_of(tree, images), _Addresses(base, page_url))
    _add_metas(page, tree, base, page_url)
    _add_links(page, anchors, base)
    return page


def _tree(decoded: PageText, *, is_xml: bool) -> LexborHTMLParser:
    text = as_html(decoded.text) if is_xml else decoded.text
    require_parsable(text)
    tree = LexborHTMLParser(text, options=_PARSER_OPTIONS)
    tree.strip_tags(["script", "style"], recursive=True)
    return tree


def _late_encoding(tree: LexborHTMLParser, decoded: PageText) -> str | None:
    """Return the encoding that a meta element behind the first kilobyte names, if another."""
    for meta in tree.css("meta"):
        of = meta.attributes
        named = encoding_of_meta_element(of.get("charset"), of.get("http-equiv"), of.get("content"))
        if named:
            return named if named != decoded.encoding else None
    return None


# Images -------------------------------------------------------------------------------------------


class _Addresses:
    """The addresses of a page's images; those that a picture element offers are judged once."""

    def __init__(self, base: str, page_url: str) -> None:
        self._base = base
        self._page_url = page_url
        self._of_pictures: dict[int, ImageAddress] = {}

    def of_image(self, image: LexborNode, attributes: Attributes) -> ImageAddress:
        """Return the best address of an image: its own, its picture's, or its noscript twin's."""
        best = best_address(img_offers(attributes), self._base, self._page_url)
        if best.promise is Promise.GOOD:
            return best
        outermost = image
        if (picture := _picture_of(image)) is not None:
            outermost = picture
            best = min(best, self._of_picture(picture), key=_promise)
        if best.promise >= Promise.PLACEHOLDER:
            twin = _image_for_no_script(outermost)
            if twin is not None:
                offers = img_offers(twin.attributes)
                best = min(best, best_address(offers, self._base, self._page_url), key=_promise)
        return best

    def _of_picture(self, picture: LexborNode) -> ImageAddress:
        known = self._of_pictures.get(picture.mem_id)
        if known is None:
            offers = (
                offer
                for source in picture.css("source")
                for offer in source_offers(source.attributes)
            )
            known = best_address(offers, self._base, self._page_url)
            self._of_pictures[picture.mem_id] = known
        return known


def _picture_of(image: LexborNode) -> LexborNode | None:
    parent = image.parent
    return parent if parent is not None and parent.tag == "picture" else None


def _promise(address: ImageAddress) -> Promise:
    return address.promise


def _image_for_no_script(image: LexborNode) -> LexborNode | None:
    """Return the image of the noscript element right behind an image that a script loads."""
    beside = image.next
    if beside is not None and beside.is_text_node and not (beside.text_content or "").strip():
        beside = beside.next
    if beside is None or beside.tag != "noscript":
        return None
    return beside.css_first("img")


def _add_images(
    page: PageContent,
    images: Sequence[LexborNode],
    captions: dict[int, str],
    addresses: _Addresses,
) -> None:
    for image in images:
        attributes = image.attributes
        where = FoundIn.IMG_ALT if _picture_of(image) is None else FoundIn.PICTURE
        texts = {
            where: attributes.get("alt"),
            FoundIn.TITLE: attributes.get("title"),
            FoundIn.FIGCAPTION: captions.get(image.mem_id),
        }
        found = {place: text for place, raw in texts.items() if raw and (text := collapse(raw))}
        if not found:
            page.dropped[HarvestState.NO_ALT_TEXT] += 1
            continue
        address = addresses.of_image(image, attributes)
        for place, text in found.items():
            _add_pair(page, address, text, place)


def _add_pair(page: PageContent, address: ImageAddress, text: str, place: FoundIn) -> None:
    if address.url is None:
        state = HarvestState.DATA_URL if address.promise is Promise.DATA else HarvestState.BAD_URL
        page.dropped[state] += 1
        return
    page.pairs.append(
        FoundPair(
            image_url=address.url,
            alt_text=text,
            found_in=place.value,
            raw_image_url=address.raw,
        )
    )


# Everything else ----------------------------------------------------------------------------------


def _add_metas(page: PageContent, tree: LexborHTMLParser, base: str, page_url: str) -> None:
    """Pair each og:image with the og:image:alt that follows it; note what withholds the page."""
    address = NO_ADDRESS
    for meta in tree.css("meta"):
        attributes = meta.attributes
        name = (attributes.get("property") or attributes.get("name") or "").strip().lower()
        content = attributes.get("content") or ""
        if name in ("og:image", "og:image:url"):
            address = best_address([Offer(content)], base, page_url)
        elif name == "og:image:alt" and (text := collapse(content)):
            _add_pair(page, address, text, FoundIn.OG_IMAGE)
        elif name == "tdm-reservation":
            page.reserves_tdm = page.reserves_tdm or content.strip() == "1"
        elif name.partition("/")[0] in ("robots", "openalign"):
            page.directives.append(content)


def _add_links(page: PageContent, anchors: Sequence[LexborNode], base: str) -> None:
    links: dict[str, bool] = {}
    for anchor in anchors:
        attributes = anchor.attributes
        raw = (attributes.get("href") or "").strip()
        url = canonical_url(raw, base) if raw else None
        if url is not None:
            may_follow = "nofollow" not in (attributes.get("rel") or "").lower().split()
            links[url] = links.get(url, False) or may_follow
    page.links = sorted(url for url, may_follow in links.items() if may_follow)
    page.nofollow_links = sorted(url for url, may_follow in links.items() if not may_follow)


def _base(tree: LexborHTMLParser, page_url: str) -> str:
    for node in tree.css("base"):
        if href := (node.attributes.get("href") or "").strip():
            return canonical_url(href, page_url) or page_url
    return page_url


def _language(tree: LexborHTMLParser) -> str | None:
    """Return the language that the html element names; a word such as `english` names none."""
    if tree.root is None:
        return None
    attributes = tree.root.attributes
    label = attributes.get("lang") or attributes.get("xml:lang") or ""
    primary = re.split("[-_]", label.strip(), maxsplit=1)[0].lower()
    if not re.fullmatch("[a-z]{2,3}", primary):
        return None
    return _SHORT_LANGUAGES.get(primary, primary)
