"""The images that are elements of a page, each with its texts and its best address."""

from collections.abc import Collection, Iterator, Sequence

from selectolax.lexbor import LexborHTMLParser, LexborNode

from openalign.files.states import FoundIn
from openalign.ingest.webpage.addresses.image_address import (
    Attributes,
    ImageAddress,
    Promise,
    address_of_img,
    foremost_attribute,
    has_src_alone,
    img_offers,
    source_offers,
)
from openalign.ingest.webpage.elements.document import Document
from openalign.ingest.webpage.elements.images_to_judge import ImagesToJudge
from openalign.ingest.webpage.elements.labels import Label, captions_of, labels_by_id
from openalign.ingest.webpage.elements.languages import Languages
from openalign.ingest.webpage.elements.nesting import inherited
from openalign.ingest.webpage.elements.pairs import PairsFound
from openalign.ingest.webpage.texts import TextKind, collapse

_IMAGES = "img, input[type=image i]"
_AMP_IMAGES = ("amp-img", "amp-anim")

_ATTRIBUTES: dict[TextKind, str] = {"alt": "alt", "title": "title", "aria_label": "aria-label"}
"""The attributes that hold a text of a kind, in the order of their texts."""

_PLACES = {"title": FoundIn.TITLE, "aria-label": FoundIn.ARIA_LABEL}
_ALT_PLACES = {
    "input": FoundIn.INPUT_IMAGE,
    "amp-img": FoundIn.AMP_IMG,
    "amp-anim": FoundIn.AMP_IMG,
}

# The parser numbers the elements of HTML, and numbers are compared faster than names.
_IMG, _PICTURE = (node.tag_id for node in LexborHTMLParser("<img><picture>").css("img, picture"))


def add_images(
    found: PairsFound,
    document: Document,
    languages: Languages,
    kinds: Collection[TextKind],
    *,
    later: ImagesToJudge | None = None,
) -> None:
    """Add each image of the page with each of its texts; an image without any is counted.

    Those that can be judged without the page are added to `later`, if it is given.
    """
    images = _image_elements(document)
    attributes = [image.attributes for image in images]
    addresses = _Addresses(document)
    texts = _ImageTexts(document, images, attributes, languages, kinds)
    elements = list(zip(images, attributes, strict=True))
    if later is None or "alt" not in kinds:
        to_judge = elements
    else:
        to_judge = _put_off(elements, later, document, texts, languages)
    for image, own in to_judge:
        if named := texts.of_image(image, own):
            address = addresses.of_image(image, own)
            for place, text, language in named:
                found.add(address, text, place, language)
        else:
            found.add_without_text()
    if "area" in kinds:
        _add_areas(found, document, languages, elements)


def _image_elements(document: Document) -> list[LexborNode]:
    """Return the images in the order of the page; a search for more names takes longer."""
    rare = [name for name in _AMP_IMAGES if document.all_named(name)]
    return document.elements(", ".join([_IMAGES, *rare]))


class _ImageTexts:
    """The texts of a page's images, of the kinds that count."""

    def __init__(
        self,
        document: Document,
        images: Sequence[LexborNode],
        attributes: Sequence[Attributes],
        languages: Languages,
        kinds: Collection[TextKind],
    ) -> None:
        self._languages = languages
        self._attributes = [name for kind, name in _ATTRIBUTES.items() if kind in kinds]
        self._beside_alt = {*self._attributes} - {"alt"}
        self._captions: dict[int, Label] = {}
        self._labels: dict[str, Label] = {}
        if "figcaption" in kinds:
            self._captions = captions_of(document, images, languages)
        if "aria_label" in kinds:
            ids = (name for own in attributes for name in _label_ids(own))
            self._labels = labels_by_id(document, ids, languages)
        if self._labels:
            self._beside_alt.add("aria-labelledby")
        self.has_alts_alone = not self._beside_alt and not self._captions
        """Whether no image has a text beside its alt-text."""

    def has_beside_alt(self, image: LexborNode, attributes: Attributes) -> bool:
        """Tell whether an image may have a text beside its alt-text."""
        return not self._beside_alt.isdisjoint(attributes) or image.mem_id in self._captions

    def of_image(
        self, image: LexborNode, attributes: Attributes
    ) -> list[tuple[FoundIn, str, str | None]]:
        """Return each text with its place and its language."""
        texts = [
            (_place_of(image, name), text, self._languages.of(image))
            for name in self._attributes
            if (raw := attributes.get(name)) and (text := collapse(raw))
        ]
        if self._labels:
            named = [label for name in _label_ids(attributes) if (label := self._labels.get(name))]
            if text := " ".join(label.text for label in named if label.text):
                texts.append((FoundIn.ARIA_LABELLEDBY, text, named[0].language))
        caption = self._captions.get(image.mem_id) if self._captions else None
        if caption is not None and caption.text:
            texts.append((FoundIn.FIGCAPTION, caption.text, caption.language))
        return texts


def _place_of(image: LexborNode, attribute: str) -> FoundIn:
    if attribute != "alt":
        return _PLACES[attribute]
    if _picture_of(image) is not None:
        return FoundIn.PICTURE
    return FoundIn.IMG_ALT if image.tag_id == _IMG else _ALT_PLACES[image.tag or ""]


def _label_ids(attributes: Attributes) -> dict[str, None]:
    """Return the ids of the elements that `aria-labelledby` names, each once, in their order."""
    return dict.fromkeys((attributes.get("aria-labelledby") or "").split())


class _Addresses:
    """The addresses of a page's images; those that a picture element offers are judged once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._of_pictures: dict[int, ImageAddress] = {}

    def of_image(self, image: LexborNode, attributes: Attributes) -> ImageAddress:
        """Return the best address of an image: its own, its picture's, or its noscript twin's."""
        page = self._document
        best = address_of_img(attributes, page.base, page.page_url, escape=page.escape)
        if best.promise is Promise.GOOD:
            return best
        outermost = image
        if (picture := _picture_of(image)) is not None:
            outermost = picture
            best = min(best, self._of_picture(picture), key=_promise)
        if best.promise >= Promise.PLACEHOLDER:
            twin = _image_for_no_script(outermost)
            if twin is not None:
                offers = img_offers(twin.attributes, element="noscript ")
                best = min(best, self._document.address(offers), key=_promise)
        return best

    def _of_picture(self, picture: LexborNode) -> ImageAddress:
        known = self._of_pictures.get(picture.mem_id)
        if known is None:
            offers = (offer for source in _sources_of(picture) for offer in source_offers(source))
            known = self._document.address(offers)
            self._of_pictures[picture.mem_id] = known
        return known


def _picture_of(image: LexborNode) -> LexborNode | None:
    parent = image.parent
    return parent if parent is not None and parent.tag_id == _PICTURE else None


def _sources_of(picture: LexborNode) -> Iterator[Attributes]:
    """Yield the sources that a browser looks at: children before the image (HTML 4.8.4.3.5)."""
    child = picture.first_child
    while child is not None and child.tag != "img":
        if child.tag == "source":
            yield child.attributes
        child = child.next


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


def _put_off(
    elements: Sequence[tuple[LexborNode, Attributes]],
    later: ImagesToJudge,
    document: Document,
    texts: _ImageTexts,
    languages: Languages,
) -> list[tuple[LexborNode, Attributes]]:
    """Add the images to `later` whose attributes alone tell of them; return the others.

    The text of such an image is its alt-text, and it has no picture or noscript element.
    """
    others: list[tuple[LexborNode, Attributes]] = []
    with_twin = _before_noscript(document)
    for element in elements:
        image, own = element
        alt = own.get("alt")
        if not alt and texts.has_alts_alone:
            later.found.add_without_text()
            continue
        is_src_alone = has_src_alone(own)
        name = "src" if is_src_alone else foremost_attribute(own)
        raw = own.get(name)
        if (
            not alt
            or not raw
            or image.tag_id != _IMG
            or _picture_of(image) is not None
            or (not texts.has_alts_alone and texts.has_beside_alt(image, own))
            or (with_twin and image.mem_id in with_twin)
        ):
            others.append(element)
            continue
        later.add(raw, name, None if is_src_alone else own, alt, languages.of(image))
    return others


def _before_noscript(document: Document) -> set[int]:
    """Return the `mem_id` of what `_image_for_no_script` may be asked about with success."""
    before: set[int] = set()
    for noscript in document.all_named("noscript"):
        beside = noscript.prev
        if beside is not None and beside.is_text_node:
            beside = beside.prev
        if beside is not None:
            before.add(beside.mem_id)
    return before


# Image maps ---------------------------------------------------------------------------------------


def _add_areas(
    found: PairsFound,
    document: Document,
    languages: Languages,
    images: Sequence[tuple[LexborNode, Attributes]],
) -> None:
    """Pair each area of an image map with the first image that uses the map (HTML 4.8.14)."""
    addresses = _Addresses(document)
    of_maps: dict[str, ImageAddress | None] = {}
    for image, attributes in images:
        name = (attributes.get("usemap") or "").partition("#")[2]
        if name and name not in of_maps:
            of_maps[name] = addresses.of_image(image, attributes)
    if not of_maps:
        return
    around: dict[int, ImageAddress | None] = {}
    for node in document.named("map"):
        # Of two maps of one name, the first is used.
        around[node.mem_id] = of_maps.pop(node.attributes.get("name") or "", None)
    for area in document.named("area"):
        address = inherited(area.parent, around)
        text = collapse(area.attributes.get("alt") or "")
        if address is not None and text:
            found.add(address, text, FoundIn.AREA, languages.of(area))
