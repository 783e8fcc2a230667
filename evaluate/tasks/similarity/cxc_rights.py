"""What is right for what in Crisscrossed Captions: rated pairs, own captions, co-captions.

The papers leave open what they count. What is done here stands in `docs/tasks/similarity.md`.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from openalign.evaluate.datasets.ratings.cxc_ratings import CxcDataset, RatedPair

IMAGE_TO_TEXT = "image_to_text"
TEXT_TO_IMAGE = "text_to_image"
TEXT_TO_TEXT = "text_to_text"
IMAGE_TO_IMAGE = "image_to_image"
DIRECTIONS = {
    IMAGE_TO_TEXT: "image to text",
    TEXT_TO_IMAGE: "text to image",
    TEXT_TO_TEXT: "text to text",
    IMAGE_TO_IMAGE: "image to image",
}
"""In the order of ALIGN's Table 2."""

Rights = Mapping[int, set[int]]
"""The right items of each query; a query for which nothing is right has no entry."""


def rated_split(dataset: CxcDataset, split: str) -> CxcDataset:
    """Return the images of a split and the pairs within it, but none of an item with itself."""
    places = [at for at, image in enumerate(dataset.images) if image.split == split]
    kept = dataset.keeping(places)
    return replace(
        kept,
        image_pairs=[pair for pair in kept.image_pairs if pair.first != pair.second],
        caption_pairs=[pair for pair in kept.caption_pairs if pair.first != pair.second],
    )


def right_items(
    dataset: CxcDataset, *, from_score: float, own_captions: bool, co_captions: bool
) -> dict[str, Rights]:
    """Return what is right for each query of each direction; all of the data set is searched.

    Two captions or two images that are rated alike are right for each other, whichever of them
    stands first.
    """
    between = _rated(dataset.caption_image_pairs, from_score)  # a caption, then an image
    of_texts = _rated(dataset.caption_pairs, from_score)
    captions = _captions_by_image(dataset)
    if own_captions:
        between += [(text, image) for image, texts in enumerate(captions) for text in texts]
    if co_captions:
        of_texts += [pair for texts in captions for pair in itertools.combinations(texts, 2)]
    of_images = _rated(dataset.image_pairs, from_score)
    return {
        IMAGE_TO_TEXT: _grouped((image, text) for text, image in between),
        TEXT_TO_IMAGE: _grouped(between),
        TEXT_TO_TEXT: _grouped([*of_texts, *_turned(of_texts)]),
        IMAGE_TO_IMAGE: _grouped([*of_images, *_turned(of_images)]),
    }


def _rated(pairs: Iterable[RatedPair], from_score: float) -> list[tuple[int, int]]:
    return [(pair.first, pair.second) for pair in pairs if pair.score >= from_score]


def _turned(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(second, first) for first, second in pairs]


def _captions_by_image(dataset: CxcDataset) -> list[Sequence[int]]:
    """Return the places of each image's captions."""
    ends = list(itertools.accumulate((len(image.captions) for image in dataset.images), initial=0))
    return [range(*run) for run in itertools.pairwise(ends)]


def _grouped(pairs: Iterable[tuple[int, int]]) -> Rights:
    found: dict[int, set[int]] = {}
    for query, right in pairs:
        found.setdefault(query, set()).add(right)
    return found
