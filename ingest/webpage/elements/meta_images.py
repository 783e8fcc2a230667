"""The images that a page names for those who link to it: Open Graph's and X's meta elements."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from openalign.ingest.webpage.addresses.image_address import Offer
from openalign.ingest.webpage.texts import collapse, names

OPEN_GRAPH = "og:image"
TWITTER = "twitter:image"

_ADDRESSES = {
    OPEN_GRAPH: names("og:image og:image:url og:image:secure_url"),
    TWITTER: names("twitter:image twitter:image:src"),
}


@dataclass(slots=True, kw_only=True)
class MetaImage:
    """An image of meta elements."""

    offers: list[Offer] = field(default_factory=list[Offer])
    """Its addresses; none where texts stand on the page without an image."""

    texts: list[str] = field(default_factory=list[str])


def meta_images(metas: Iterable[tuple[str, str]], root: str) -> Iterator[MetaImage]:
    """Yield each image that is named by `root`, such as `og:image`, with its alt-texts.

    `metas` are the names and contents of the page's meta elements, in order. An image begins with
    `root`, and what follows belongs to it (Open Graph, "Arrays"). Pages that write the text first
    do so for every image: there a text belongs to the image behind it.
    """
    images: list[MetaImage] = []
    ahead: list[str] = []
    is_text_first: bool | None = None
    for name, content in metas:
        if name == root + ":alt":
            is_text_first = not images if is_text_first is None else is_text_first
            (ahead if is_text_first else images[-1].texts).extend(_texts(content))
        elif name in _ADDRESSES[root]:
            if not images or name == root or _has(images[-1].offers, name):
                images.append(MetaImage(texts=ahead))
                ahead = []
            images[-1].offers.append(Offer(content, name))
    yield from images
    if ahead:
        yield MetaImage(texts=ahead)


def _texts(content: str) -> list[str]:
    text = collapse(content)
    return [text] if text else []


def _has(offers: Sequence[Offer], name: str) -> bool:
    return any(offer.attribute == name for offer in offers)
