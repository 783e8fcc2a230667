"""Texts that stand elsewhere on a page than their image: captions of figures, and named elements.

An element that holds another one of its kind is left out, so that no text is read twice.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from selectolax.lexbor import LexborNode

from openalign.ingest.webpage.elements.document import Document
from openalign.ingest.webpage.elements.languages import Languages
from openalign.ingest.webpage.elements.nesting import inherited
from openalign.ingest.webpage.texts import collapse, names

# Elements that a browser sets on lines of their own, or in cells of their own.
_BREAKS = names(
    "address article aside blockquote br center dd details div dl dt figcaption figure footer form"
    " h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table td th tr ul"
)


class Label(NamedTuple):
    """A text of an image, and its language."""

    text: str
    language: str | None


def captions_of(
    document: Document, images: Sequence[LexborNode], languages: Languages
) -> dict[int, Label]:
    """Return the caption of each image in a figure, by `mem_id`; the innermost figure counts."""
    found = _disjoint(document.named("figcaption"))
    if not found:
        return {}
    figures = {figure.mem_id: figure.mem_id for figure in document.named("figure")}
    around: dict[int, int | None] = {**figures}
    labels: dict[int | None, Label] = {}
    for caption in found:
        figure = inherited(caption.parent, around)
        if figure not in labels:
            labels[figure] = Label(_text_of(caption), languages.of(caption))
    captions: dict[int, Label] = {}
    for image in images:
        figure = inherited(image.parent, around)
        if figure is not None and figure in labels:
            captions[image.mem_id] = labels[figure]
    return captions


def labels_by_id(document: Document, ids: Iterable[str], languages: Languages) -> dict[str, Label]:
    """Return the texts of the elements with these ids; of two with the same id, the first."""
    wanted = set(ids)
    if not wanted:
        return {}
    by_id: dict[str, LexborNode] = {}
    for node in document.elements("[id]"):
        name = node.attributes.get("id")
        if name in wanted:
            by_id.setdefault(name, node)
    whole = {node.mem_id for node in _disjoint(list(by_id.values()))}
    return {
        name: Label(_text_of(node), languages.of(node))
        for name, node in by_id.items()
        if node.mem_id in whole
    }


def _disjoint(nodes: Sequence[LexborNode]) -> list[LexborNode]:
    """Return the elements that hold none of the others."""
    around: dict[int, int | None] = {node.mem_id: node.mem_id for node in nodes}
    holders = {inherited(node.parent, around) for node in nodes}
    return [node for node in nodes if node.mem_id not in holders]


def _text_of(node: LexborNode) -> str:
    for part in node.css("*"):
        if part.tag in _BREAKS and part.mem_id != node.mem_id:
            part.insert_before(" ")
            part.insert_after(" ")
    return collapse(node.text())
