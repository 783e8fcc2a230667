"""A data set of queries that edit an image in words, as CIRR and FashionIQ have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from openalign.evaluate.datasets.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class EditQuery:
    """An image, and what is to be changed about it. Numbers are places in `Dataset.images`."""

    id: str = ""
    """What the data set calls it; CIRR's server wants it beside each answer."""

    reference: int
    target: int | None
    """The image that is meant; None where the data set keeps it to itself."""

    captions: tuple[str, ...]
    """What people wrote of the change, one after another."""

    group: tuple[int, ...] = ()
    """Images that look alike, reference and target among them (CIRR's `img_set`)."""

    category: str = ""
    """A key of `ComposedDataset.galleries`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedDataset(Dataset):
    """The images of one split, and the queries about them, in the published order."""

    queries: Sequence[EditQuery]

    galleries: Mapping[str, tuple[int, ...]]
    """The images among which a query's target is looked for, by category. One image may be in
    several."""

    @property
    def beside_images(self) -> tuple[str, ...]:
        """How many queries there are."""
        return (f"{len(self.queries):,} queries",)

    def keeping(self, places: Sequence[int]) -> Self:
        """Return the data set with only the images at these places, and the queries of them."""
        at = {place: number for number, place in enumerate(places)}
        return replace(
            self,
            images=[self.images[place] for place in places],
            queries=[moved for query in self.queries if (moved := _moved(query, at))],
            galleries={
                category: tuple(at[place] for place in gallery if place in at)
                for category, gallery in self.galleries.items()
            },
        )

    def content(self) -> list[Any]:
        """Return all that numbers depend on beside the images' bytes, for a hash."""
        galleries = {category: list(gallery) for category, gallery in self.galleries.items()}
        return [*Dataset.content(self), list(self.queries), galleries]


def _moved(query: EditQuery, at: Mapping[int, int]) -> EditQuery | None:
    """Return a query with new places, or None where its reference or target is left out."""
    if query.reference not in at or (query.target is not None and query.target not in at):
        return None
    return replace(
        query,
        reference=at[query.reference],
        target=None if query.target is None else at[query.target],
        group=tuple(at[place] for place in query.group if place in at),
    )
