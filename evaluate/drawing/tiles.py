"""Queries with images, as the report shows them: what was found, right or wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.thumbnails import Thumbnail
from openalign.images.thumbnails import webp_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A small image with its caption."""

    src: str
    caption: str
    is_right: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownQuery:
    """A query with its answer and what was found; which parts there are depends on its kind."""

    place: str
    """Where the right answer came, in words."""

    is_first: bool
    is_found: bool
    """Whether it is among the results that are shown."""

    query: str = ""
    tiles: Sequence[Tile] = ()
    captions: Sequence[tuple[str, bool]] = ()
    """Captions found, and whether each is one of the image's own."""

    start: Tile | None = None
    """The image that was asked with."""

    answer: Tile | None = None
    """The right image, where it is not among the tiles."""

    answers: Sequence[str] = ()
    """The right captions, where none is among those shown."""

    minus: str = ""
    plus: str = ""


def place_in_words(rank: int, num_gallery: int) -> str:
    """Say where the right answer came; 1 is the first place."""
    if rank == 1:
        return "found first"
    return f"right one at place {rank:,} of {num_gallery:,}"


class Tiles:
    """The small images of one benchmark."""

    def __init__(self, benchmark: str, thumbnails: Mapping[tuple[str, str], Thumbnail]) -> None:
        self._benchmark = benchmark
        self._thumbnails = thumbnails

    def tile(self, name: str, *, right: str = "", caption: str = "") -> Tile:
        """Return an image with its own caption or another; it is marked where `right` names it."""
        small = self._thumbnails[self._benchmark, name]
        return Tile(
            src=webp_url(small.webp),
            caption=caption or small.caption,
            is_right=name == right,
        )

    def found(self, names: Sequence[str], *, right: str) -> list[Tile]:
        """Return the images that were found; the right one is marked."""
        return [self.tile(name, right=right) for name in names]


def edited_image(
    tiles: Tiles,
    *,
    start: str,
    minus: str = "",
    plus: str,
    target: str,
    first: Sequence[str],
    rank: int,
    image_only_rank: int,
) -> ShownQuery:
    """Return an image, words to take away and to add, and the images found.

    `rank` is the place of the target, and `image_only_rank` its place for the image without words.
    """
    is_found = target in first
    return ShownQuery(
        place=f"right one at place {rank:,}; for the image alone at place {image_only_rank:,}",
        is_first=rank == 1,
        is_found=is_found,
        start=tiles.tile(start),
        minus=minus,
        plus=plus,
        tiles=tiles.found(first, right=target),
        answer=None if is_found else tiles.tile(target, right=target),
    )
