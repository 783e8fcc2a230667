"""Queries with pictures, as the report's galleries show them: what was found, right or wrong."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openalign.evaluate.examples import ComposedExample, ImageQuery, TextQuery, Thumbnail

Thumbnails = Mapping[tuple[str, str], Thumbnail]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A small picture with its caption."""

    src: str
    caption: str
    is_right: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A query with its answer and what was found; which parts there are depends on its kind."""

    place: str
    """Where the right answer came, in words."""

    is_first: bool
    is_found: bool
    """Whether it is among the results that are shown."""

    query: str = ""
    tiles: Sequence[Tile] = ()
    captions: Sequence[tuple[str, bool]] = ()
    """Captions found, and whether each is one of the picture's own."""

    start: Tile | None = None
    """The picture that was asked with."""

    answer: Tile | None = None
    """The right picture, where it is not among the tiles."""

    answers: Sequence[str] = ()
    """The right captions, where none is among those shown."""

    minus: str = ""
    plus: str = ""


class Pictures:
    """The small pictures of one data set."""

    def __init__(self, dataset: str, thumbnails: Thumbnails) -> None:
        self._dataset = dataset
        self._thumbnails = thumbnails

    def tile(self, name: str, *, right: str = "") -> Tile:
        """Return a picture; it is marked where its name is the right one."""
        small = self._thumbnails[self._dataset, name]
        content = base64.b64encode(small.webp).decode()
        return Tile(
            src=f"data:image/webp;base64,{content}",
            caption=small.caption,
            is_right=name == right,
        )

    def text_query(self, query: TextQuery, num_gallery: int) -> Shown:
        """Return a caption and the pictures found for it."""
        found = query.image in query.first
        return Shown(
            query=query.caption,
            place=_place(query.rank, num_gallery),
            is_first=query.rank == 1,
            is_found=found,
            tiles=[self.tile(name, right=query.image) for name in query.first],
            answer=None if found else self.tile(query.image, right=query.image),
        )

    def image_query(self, query: ImageQuery, num_gallery: int) -> Shown:
        """Return a picture and the captions found for it."""
        own = [caption.image == query.image for caption in query.first]
        return Shown(
            query=query.captions[0],
            place=_place(query.rank, num_gallery),
            is_first=query.rank == 1,
            is_found=any(own),
            start=self.tile(query.image),
            captions=[(c.text, is_own) for c, is_own in zip(query.first, own, strict=True)],
            answers=() if any(own) else query.captions,
        )

    def composed_query(self, query: ComposedExample) -> Shown:
        """Return a picture, words to take away and to add, and the pictures found."""
        found = query.target in query.first
        return Shown(
            place=f"right one at place {query.rank:,}; "
            f"for the picture alone at place {query.image_only_rank:,}",
            is_first=query.rank == 1,
            is_found=found,
            start=self.tile(query.image),
            minus=query.minus,
            plus=query.plus,
            tiles=[self.tile(name, right=query.target) for name in query.first],
            answer=None if found else self.tile(query.target, right=query.target),
        )


def _place(rank: int, num_gallery: int) -> str:
    if rank == 1:
        return "found first"
    return f"right one at place {rank:,} of {num_gallery:,}"
