"""A benchmark with its embeddings, made once for all tasks that are measured on it."""

# ruff: noqa: N815  # capitals are shape suffixes

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openalign.evaluate.bootstrap import Ints
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.embeddings import Embedder, EmbeddingStore, embed_images, embed_texts
from openalign.evaluate.vectors import Vectors
from openalign.files.fingerprints import fingerprint_of
from openalign.files.names import embeddings_file


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


def embed_benchmark(
    name: str,
    dataset: Dataset,
    embedder: Embedder,
    *,
    with_captions: bool,
    batch_size: int,
    store: EmbeddingStore,
) -> EmbeddedBenchmark:
    """Embed all images of a data set and, where they are needed, their captions.

    Raises:
        InputError: one of the images cannot be used.
    """
    images = dataset.images
    captions = [image.captions for image in images]
    of_images = embed_images(
        embedder,
        images,
        store=store,
        file=embeddings_file(name, "images"),
        batch_size=batch_size,
    )
    caption_GD = None  # noqa: N806
    if with_captions:
        caption_GD = embed_texts(  # noqa: N806
            embedder,
            [caption for of_one in captions for caption in of_one],
            store=store,
            file=embeddings_file(name, "captions"),
            batch_size=batch_size,
        ).rows
    return EmbeddedBenchmark(
        name=name,
        dataset=dataset,
        image_GD=of_images.rows,
        caption_GD=caption_GD,
        owner_G=owners(captions),
        content_hash=fingerprint_of([of_images.content_hash, *dataset.content()]),
    )


def owners(captions: Sequence[Sequence[str]]) -> Ints:
    """Return, caption by caption, the number of the image that it belongs to."""
    counts = [len(of_one) for of_one in captions]
    return np.repeat(np.arange(len(captions), dtype=np.int64), counts)
