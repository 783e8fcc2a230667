"""The captions of the images of a page's figures."""

from collections.abc import Sequence

from selectolax.lexbor import LexborHTMLParser, LexborNode

from openalign.ingest.webpage.texts import collapse, names

# Elements that a browser sets on lines of their own, or in cells of their own.
_BREAKS = ", ".join(
    sorted(
        names(
            "address article aside blockquote br center dd details div dl dt figcaption figure"
            " footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table td"
            " th tr ul"
        )
    )
)


def captions_of(tree: LexborHTMLParser, images: Sequence[LexborNode]) -> dict[int, str]:
    """Return the caption of each image in a figure, by `mem_id`; the innermost figure counts.

    A caption that holds another caption is left out, so that no text is read twice. Lines and
    blocks in a caption part words, as they do on the screen.
    """
    found = tree.css("figcaption")
    if not found:
        return {}
    figures: dict[int, int | None] = {}
    around: dict[int, int | None] = {}
    holders = {_innermost(caption, "figcaption", around) for caption in found}
    texts: dict[int | None, str] = {}
    for caption in found:
        figure = _innermost(caption, "figure", figures)
        if figure not in texts and caption.mem_id not in holders:
            texts[figure] = _text_of(caption)
    captions: dict[int, str] = {}
    for image in images:
        figure = _innermost(image, "figure", figures)
        if figure is not None:
            captions[image.mem_id] = texts.get(figure, "")
    return captions


def _text_of(caption: LexborNode) -> str:
    for node in caption.css(_BREAKS):
        if node.mem_id != caption.mem_id:
            node.insert_before(" ")
            node.insert_after(" ")
    return collapse(caption.text())


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
