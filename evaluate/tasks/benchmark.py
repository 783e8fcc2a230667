"""A benchmark with its embeddings, made once for all tasks that are measured on it."""

# ruff: noqa: N815  # capitals are shape suffixes

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.metrics.bootstrap import Ints
from openalign.evaluate.metrics.vectors import Vectors
from openalign.files.fingerprints import fingerprint_of


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedBenchmark:
    """The images of a data set that tasks need, with their embeddings, in the data set's order."""

    name: str

    dataset: Dataset
    """What the reader gave, with no other images than these."""

    image_GD: Vectors
    caption_GD: Vectors | None
    """None where no task needs captions."""

    owner_G: Ints
    """Caption by caption, the place of its image."""

    content_hash: str
    """Over the images' bytes, and over all that the data set says (`Dataset.content`)."""

    @property
    def images(self) -> Sequence[BenchmarkImage]:
        """The images, in the order of their rows."""
        return self.dataset.images

    def places_of(self, split: str) -> Ints:
        """Return the rows of a split's images."""
        return np.flatnonzero([image.split == split for image in self.images])

    @property
    def labels(self) -> Ints:
        """Image by image, the place of its class; -1 where it has none."""
        labels = (image.label for image in self.images)
        return np.array([-1 if label is None else label for label in labels], dtype=np.int64)

    @property
    def captions(self) -> list[str]:
        """All captions, in the order of their rows."""
        return [caption for image in self.images for caption in image.captions]

    @property
    def captions_embedded(self) -> Vectors:
        """The captions' rows, for a task that said it needs them."""
        assert self.caption_GD is not None, "the task did not say that it needs captions"
        return self.caption_GD


def benchmark_of(
    name: str,
    dataset: Dataset,
    *,
    image_GD: Vectors,  # noqa: N803
    caption_GD: Vectors | None,  # noqa: N803
    image_hashes: Sequence[str],
) -> EmbeddedBenchmark:
    """Return a data set with its embeddings; `image_hashes` are those of its chunks of images."""
    assert len(image_GD) == len(dataset.images), "every image that is not left out has a row"
    return EmbeddedBenchmark(
        name=name,
        dataset=dataset,
        image_GD=image_GD,
        caption_GD=caption_GD,
        owner_G=owners([image.captions for image in dataset.images]),
        content_hash=fingerprint_of([list(image_hashes), *dataset.content()]),
    )


def owners(captions: Sequence[Sequence[str]]) -> Ints:
    """Return, caption by caption, the number of the image that it belongs to."""
    counts = [len(of_one) for of_one in captions]
    return np.repeat(np.arange(len(captions), dtype=np.int64), counts)
