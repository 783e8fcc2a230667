"""Which of an image's addresses is the image: its lazy-load attributes, `srcset`, `src`, sources.

A page often gives several: a placeholder for the time before a script runs, the image in several
sizes, formats that not everybody reads. The first good one is taken. What looks like a placeholder,
or like a format that `fetch` cannot decode, is taken only where nothing better is offered.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum

import msgspec

from openalign.ingest.web.urls import Escape, canonical_url
from openalign.ingest.webpage.addresses.srcset import srcset_candidates
from openalign.ingest.webpage.texts import names

Attributes = Mapping[str, str | None]

LAZY_ADDRESSES = (
    "data-src",
    "data-original",
    "data-lazy-src",
    "data-lazy",
    "data-cfsrc",
    "data-litespeed-src",
    "data-ezsrc",
    "data-opt-src",
    "data-breeze",
    "data-wpfc-original-src",
    "data-pagespeed-lazy-src",
    "nitro-lazy-src",
    "data-orig-src",
    "data-original-src",
    "data-actualsrc",
    "data-delayed-url",
    "data-deferred",
    "data-defer-src",
    "data-echo",
    "data-flickity-lazyload",
    "data-flickity-lazyload-src",
    "data-splide-lazy",
    "data-lazyload",
    "data-lazy-load",
    "data-lazy-img",
    "data-ks-lazyload",
    "data-ll-src",
    "data-real-src",
    "data-image-src",
    "data-img-src",
    "data-img-url",
    "data-hi-res-src",
    "data-url",
    "lazysrc",
    "lazy-src",
)
"""Attributes that scripts copy to `src`, the most common first."""

LAZY_SRCSETS = (
    "data-srcset",
    "data-lazy-srcset",
    "data-original-set",
    "data-cfsrcset",
    "data-ezsrcset",
    "data-opt-srcset",
    "data-wpfc-original-srcset",
    "data-pagespeed-lazy-srcset",
    "nitro-lazy-srcset",
    "data-orig-srcset",
    "data-flickity-lazyload-srcset",
    "data-splide-lazy-srcset",
    "data-ll-srcset",
    "lazy-srcset",
)
"""Attributes that scripts copy to `srcset`."""

_LAZY_SRCSETS = frozenset(LAZY_SRCSETS)
_LAZY = _LAZY_SRCSETS.union(LAZY_ADDRESSES)
_BESIDE_SRC = _LAZY | {"srcset"}

_DECODED_TYPES = frozenset(
    "image/" + name
    for name in names("apng avif bmp gif jpeg jpg pjpeg png tiff webp x-ms-bmp x-png")
)
_NO_ADDRESS = re.compile(
    r"#|\?\Z|\.{1,2}/?\Z|\{|\[|[a-z][a-z0-9+.-]*:(?<!http:)(?<!https:)|(?:https?:)?//:",
    re.IGNORECASE,
)
_UNFILLED = re.compile(r"\{\{|\{%|\$\{|#\{|<%|\[\[|%7b%7b", re.IGNORECASE)
# The last word of a file's name, sizes apart.
PLACEHOLDER_WORDS = names(
    "1px 1x1 blank clear dummy empty gray grey lazy lazyload loader loading pixel placeholder"
    " preloader shim spacer spinner trans transparency transparent"
)
_PLACEHOLDER_ENDINGS = names("gif jpeg jpg png svg webp")
_UNDECODED_ENDINGS = names(
    "eps hdp heic heif ico j2k jp2 jpf jpx jxl jxr mp4 pdf psd svg svgz wdp webm"
)


# Most addresses are such: plain in every character, and of a format that is decoded. If the file's
# name, without its ending, is no placeholder's, each rule below says of them what is said here.
_PLAIN = re.compile(
    r"(https?://(?!xn--|[^/]*\.xn--)(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*)?"
    r"/(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*"
    r"([A-Za-z0-9_-][A-Za-z0-9._-]*)\.(?:jpg|jpeg|png|webp|gif)"
    r"(?:\?[A-Za-z0-9._~=&+-]*)?"
)
_PLAIN_CHARS = 512


class Promise(IntEnum):
    """How likely an address is that of the image, the best first."""

    GOOD = 0
    UNDECODED = 1  # of a format that is not decoded
    PLACEHOLDER = 2
    WORD = 3  # a setting of a script that looks like no address
    DATA = 4  # the image itself, in place of an address
    BROKEN = 5
    NONE = 6


class ImageAddress(msgspec.Struct, frozen=True, gc=False):
    """An image's address."""

    raw: str
    """As the page spells it; empty where it has none."""

    url: str | None
    """Canonical; None where it is no address of an image."""

    promise: Promise

    attribute: str
    """The attribute that it stands in, such as `data-src`; behind the name of its element where
    that is not the image's own (`source srcset`). Empty where there is no address."""


NO_ADDRESS = ImageAddress("", None, Promise.NONE, "")


class Offer(msgspec.Struct, frozen=True, gc=False):
    """An address that an element offers."""

    raw: str
    attribute: str
    media_type: str = ""
    is_lazy: bool = False
    """Whether it stands in an attribute that only scripts read."""


def img_offers(attributes: Attributes, *, element: str = "") -> Iterator[Offer]:
    """Yield the addresses of an `img` element: what scripts put in first, then what is there.

    `element` goes before the attributes' names, for an element that is not the image itself.
    """
    if not _LAZY.isdisjoint(attributes):
        for raw, name in _by_size(attributes, LAZY_ADDRESSES, LAZY_SRCSETS):
            yield Offer(raw, element + name, is_lazy=True)
    if attributes.get("srcset"):
        for raw, name in _by_size(attributes, ("src",), ("srcset",)):
            yield Offer(raw, element + name)
    elif src := attributes.get("src"):
        yield Offer(src, element + "src")


def source_offers(attributes: Attributes) -> Iterator[Offer]:
    """Yield the addresses of a `source` element in a `picture` element."""
    media_type = (attributes.get("type") or "").partition(";")[0].strip().lower()
    for offer in img_offers(attributes, element="source "):
        yield msgspec.structs.replace(offer, media_type=media_type)


def _by_size(
    attributes: Attributes, singles: Iterable[str], srcsets: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Yield the addresses of some attributes, each with the attribute's name, the largest first.

    A single address has density 1, and takes no part where a set gives widths.
    """
    small: list[tuple[str, str]] = []
    for name in srcsets:
        srcset = attributes.get(name)
        for candidate in srcset_candidates(srcset) if srcset else ():
            if candidate.is_large:
                yield candidate.raw, name
            else:
                small.append((candidate.raw, name))
    for name in singles:
        if single := attributes.get(name):
            yield single, name
    yield from small


def best_address(
    offers: Iterable[Offer], base: str, page_url: str, *, escape: Escape | None = None
) -> ImageAddress:
    """Return the first of the most promising addresses; one that is broken has no URL.

    `escape` is as in `canonical_url`.
    """
    best = NO_ADDRESS
    for offer in offers:
        address = _judge(offer, base, page_url, escape)
        if address.promise is Promise.GOOD:
            return address
        if address.raw and address.promise < best.promise:
            best = address
    return best


def address_of_src(
    raw: str, base: str, page_url: str, *, escape: Escape | None = None
) -> ImageAddress:
    """Return what `best_address` does for a `src` alone."""
    raw = raw.strip()
    url = _plain_url(raw, base, page_url)
    if url is not None:
        return ImageAddress(raw, url, Promise.GOOD, "src")
    return best_address((Offer(raw, "src"),) if raw else (), base, page_url, escape=escape)


def address_of_img(
    attributes: Attributes, base: str, page_url: str, *, escape: Escape | None = None
) -> ImageAddress:
    """Return what `best_address` does for the `img_offers` of an element."""
    name = foremost_attribute(attributes)
    raw = (attributes.get(name) or "").strip()
    url = _plain_url(raw, base, page_url)
    if url is not None:
        return ImageAddress(raw, url, Promise.GOOD, name)
    return best_address(img_offers(attributes), base, page_url, escape=escape)


def has_src_alone(attributes: Attributes) -> bool:
    """Tell whether no attribute beside `src` may offer an address."""
    return _BESIDE_SRC.isdisjoint(attributes)


def foremost_attribute(attributes: Attributes) -> str:
    """Return the attribute of the first offer; none where a set of sizes may come first."""
    if _BESIDE_SRC.isdisjoint(attributes):
        return "src"
    if attributes.get("srcset") or not _LAZY_SRCSETS.isdisjoint(attributes):
        return ""
    for name in LAZY_ADDRESSES:
        if attributes.get(name):
            return name
    return "src"


def _plain_url(raw: str, base: str, page_url: str) -> str | None:
    """Return the canonical form of a plain address that is good, None of another one."""
    found = _PLAIN.fullmatch(raw) if len(raw) < _PLAIN_CHARS else None
    if found is None:
        return None
    host, stem = found.groups()
    url = raw if host else base[: base.index("/", len("https://"))] + raw
    return None if url in (page_url, base) or _is_placeholder(stem.lower()) else url


def _judge(offer: Offer, base: str, page_url: str, escape: Escape | None) -> ImageAddress:
    raw = offer.raw.strip()
    if not offer.media_type and (plain := _plain_url(raw, base, page_url)):
        return ImageAddress(raw, plain, Promise.GOOD, offer.attribute)
    if raw[:5].lower() == "data:":
        return ImageAddress(raw, None, Promise.DATA, offer.attribute)
    if not raw or _NO_ADDRESS.match(raw) or _UNFILLED.search(raw):
        return ImageAddress(raw, None, Promise.BROKEN, offer.attribute)
    url = canonical_url(raw, base, escape=escape)
    # An address such as `?` is that of the page, which is no image.
    if url is None or url in (page_url, base):
        return ImageAddress(raw, None, Promise.BROKEN, offer.attribute)
    return ImageAddress(raw, url, _promise(offer, raw), offer.attribute)


def _promise(offer: Offer, raw: str) -> Promise:
    if offer.is_lazy and "/" not in raw and "." not in raw:
        return Promise.WORD
    path = raw.partition("?")[0].partition("#")[0]
    stem, _, ending = path.rpartition("/")[2].lower().rpartition(".")
    if ending in _PLACEHOLDER_ENDINGS and _is_placeholder(stem):
        return Promise.PLACEHOLDER
    if offer.media_type:
        return Promise.GOOD if offer.media_type in _DECODED_TYPES else Promise.UNDECODED
    return Promise.UNDECODED if ending in _UNDECODED_ENDINGS else Promise.GOOD


def _is_placeholder(stem: str) -> bool:
    if stem in PLACEHOLDER_WORDS:
        return True
    words = stem.rstrip("0123456789x").replace("_", "-").replace(".", "-").rstrip("-")
    return words.rpartition("-")[2] in PLACEHOLDER_WORDS
