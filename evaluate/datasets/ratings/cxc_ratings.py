"""Crisscrossed Captions: MSCOCO's images and captions with people's ratings of pairs of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from openalign.evaluate.datasets.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedPair:
    """Two items by their places, and how similar people found them."""

    first: int
    second: int

    score: float
    """The mean rating, from 0 to 5."""

    method: str
    """How the pair was chosen, such as `c2i_original` for an image and its own caption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CxcDataset(Dataset):
    """Images with captions, and rated pairs in the published order.

    An image's place is that in `images`. A caption's is that among the captions of all images, one
    image after another.
    """

    image_pairs: Sequence[RatedPair]
    """Semantic image similarity (SIS): two images."""

    caption_image_pairs: Sequence[RatedPair]
    """Semantic image-text similarity (SITS): a caption, then an image."""

    caption_pairs: Sequence[RatedPair]
    """Semantic textual similarity (STS): two captions."""

    @property
    def beside_images(self) -> tuple[str, ...]:
        """How many ratings there are, file by file."""
        return (
            f"{len(self.image_pairs):,} rated pairs of images",
            f"{len(self.caption_image_pairs):,} rated pairs of a caption and an image",
            f"{len(self.caption_pairs):,} rated pairs of captions",
        )

    def keeping(self, places: Sequence[int]) -> Self:
        """Return the data set with only the images at these places, and the pairs of them."""
        image_at = {place: at for at, place in enumerate(places)}
        caption_at: dict[int, int] = {}
        first = 0
        for place, image in enumerate(self.images):
            if place in image_at:
                for number in range(len(image.captions)):
                    caption_at[first + number] = len(caption_at)
            first += len(image.captions)
        return replace(
            self,
            images=[self.images[at] for at in places],
            image_pairs=_moved(self.image_pairs, image_at, image_at),
            caption_image_pairs=_moved(self.caption_image_pairs, caption_at, image_at),
            caption_pairs=_moved(self.caption_pairs, caption_at, caption_at),
        )

    def content(self) -> list[Any]:
        """Return all that numbers depend on beside the images' bytes, for a hash."""
        pairs = [self.image_pairs, self.caption_image_pairs, self.caption_pairs]
        return [*Dataset.content(self), *map(list, pairs)]


def _moved(
    pairs: Sequence[RatedPair], first_at: Mapping[int, int], second_at: Mapping[int, int]
) -> list[RatedPair]:
    """Return the pairs of which both items are left, with their new places."""
    return [
        replace(pair, first=first_at[pair.first], second=second_at[pair.second])
        for pair in pairs
        if pair.first in first_at and pair.second in second_at
    ]
