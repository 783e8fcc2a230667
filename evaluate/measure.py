"""One benchmark, embedded and measured: numbers from rows, and examples for the report.

Names of metrics:
    retrieval/<dataset>/<split or gallery>/<direction>/recall_at_<K>
    composed/<name>/<kind>/<method>/top_<K>
"""

# ruff: noqa: N806, N815  # capitals are shape suffixes

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openalign.errors import InputError
from openalign.evaluate import composed, retrieval
from openalign.evaluate.bootstrap import Bootstrap, Ints
from openalign.evaluate.composed import COMBINED, IMAGE_ONLY, EmbeddedQueries, Weights
from openalign.evaluate.config import ComposedQueries, EvaluateConfig, KarpathyDataset
from openalign.evaluate.datasets import karpathy
from openalign.evaluate.datasets.karpathy import BenchmarkImage
from openalign.evaluate.embeddings import (
    Embedder,
    Store,
    embed_images,
    embed_texts,
    embeddings_name,
)
from openalign.evaluate.examples import (
    FIRST,
    Caption,
    ComposedExample,
    ComposedExamples,
    DatasetExamples,
    ImageQuery,
    TextQuery,
    nearest,
    sample,
)
from openalign.evaluate.results import DatasetFacts, Metric
from openalign.evaluate.retrieval import Rows
from openalign.files.fingerprints import fingerprint_of

SPLIT = "split"
GALLERY = "gallery"
TEXT_TO_IMAGE = "text_to_image"
IMAGE_TO_TEXT = "image_to_text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A data set with its embeddings, in the order of its file."""

    config: KarpathyDataset
    images: Sequence[BenchmarkImage]
    image_GD: Rows
    caption_GD: Rows
    owner_G: Ints
    """Caption by caption, the place of its picture."""

    in_split: Ints
    """Places of the pictures of the split that is asked about."""

    content_hash: str

    @property
    def captions(self) -> list[str]:
        """All captions, in the order of their rows."""
        return [caption for image in self.images for caption in image.captions]

    @property
    def captions_in_split(self) -> Ints:
        """Places of the captions of the split that is asked about."""
        return np.flatnonzero(np.isin(self.owner_G, self.in_split))

    def facts(self) -> DatasetFacts:
        """Return how large it is."""
        return DatasetFacts(
            name=self.config.name,
            split=self.config.split,
            num_images=len(self.in_split),
            num_captions=len(self.captions_in_split),
            gallery_splits=tuple(sorted({image.split for image in self.images})),
            num_gallery_images=len(self.images),
            num_gallery_captions=len(self.owner_G),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """What is searched: some pictures and all their captions, by their places."""

    scope: str
    images: Ints
    captions: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The ranks of a split's queries in one gallery."""

    text_to_image: Ints
    image_to_text: Ints


def how_of(config: EvaluateConfig) -> Bootstrap:
    """Return how intervals are drawn."""
    return Bootstrap(
        resamples=config.bootstrap_resamples, confidence=config.confidence, seed=config.seed
    )


# Embedding ----------------------------------------------------------------------------------------


def embed(
    dataset: KarpathyDataset, embedder: Embedder, *, batch_size: int, store: Store
) -> Benchmark:
    """Read a data set and embed its pictures and captions.

    Raises:
        InputError: the file or one of its pictures cannot be used.
    """
    images = _read(dataset)
    captions = [image.captions for image in images]
    of_images = embed_images(
        embedder,
        [image.url for image in images],
        store=store,
        file=embeddings_name(dataset.name, "images"),
        batch_size=batch_size,
    )
    of_captions = embed_texts(
        embedder,
        [caption for of_one in captions for caption in of_one],
        store=store,
        file=embeddings_name(dataset.name, "captions"),
        batch_size=batch_size,
    )
    described = [[image.name, image.split, list(image.captions)] for image in images]
    return Benchmark(
        config=dataset,
        images=images,
        image_GD=of_images.rows,
        caption_GD=of_captions.rows,
        owner_G=retrieval.owners(captions),
        in_split=np.flatnonzero([image.split == dataset.split for image in images]),
        content_hash=fingerprint_of([of_images.content_hash, described]),
    )


def _read(dataset: KarpathyDataset) -> list[BenchmarkImage]:
    splits = sorted({dataset.split, *dataset.gallery_splits}) if dataset.gallery_splits else ()
    images = karpathy.read(
        dataset.path, splits, images=dataset.images, max_captions=dataset.max_captions
    )
    present = sorted({image.split for image in images})
    if dataset.split not in present:
        raise InputError(
            f"{dataset.path}: no image is in split `{dataset.split}`",
            hint=f"splits are: {', '.join(present)}",
        )
    return images


# Retrieval ----------------------------------------------------------------------------------------


def measure_retrieval(benchmark: Benchmark, how: Bootstrap) -> tuple[list[Metric], list[Ranked]]:
    """Return recall in both directions, within the split and over the whole gallery."""
    galleries = [
        Gallery(scope=SPLIT, images=benchmark.in_split, captions=benchmark.captions_in_split)
    ]
    if len(benchmark.in_split) < len(benchmark.images):
        every = (np.arange(len(benchmark.images)), np.arange(len(benchmark.owner_G)))
        galleries.append(Gallery(scope=GALLERY, images=every[0], captions=every[1]))
    ranked = [_rank(benchmark, gallery) for gallery in galleries]
    metrics = [
        metric
        for gallery, ranks in zip(galleries, ranked, strict=True)
        for metric in _recalls(benchmark, gallery, ranks, how)
    ]
    return metrics, ranked


def _rank(benchmark: Benchmark, gallery: Gallery) -> Ranked:
    own = benchmark.owner_G
    texts = benchmark.captions_in_split
    return Ranked(
        text_to_image=retrieval.ranks(
            benchmark.caption_GD[texts],
            benchmark.image_GD[gallery.images],
            query_owner_Q=own[texts],
            gallery_owner_G=gallery.images,
        ),
        image_to_text=retrieval.ranks(
            benchmark.image_GD[benchmark.in_split],
            benchmark.caption_GD[gallery.captions],
            query_owner_Q=benchmark.in_split,
            gallery_owner_G=own[gallery.captions],
        ),
    )


def _recalls(benchmark: Benchmark, gallery: Gallery, ranks: Ranked, how: Bootstrap) -> list[Metric]:
    prefix = f"retrieval/{benchmark.config.name}/{gallery.scope}"
    owner_Q = benchmark.owner_G[benchmark.captions_in_split]
    num_captions = np.bincount(benchmark.owner_G, minlength=len(benchmark.images))
    return [
        *retrieval.measure(
            f"{prefix}/{TEXT_TO_IMAGE}",
            ranks.text_to_image,
            group_Q=owner_Q,
            num_own_Q=np.ones_like(owner_Q),
            num_gallery=len(gallery.images),
            how=how,
        ),
        *retrieval.measure(
            f"{prefix}/{IMAGE_TO_TEXT}",
            ranks.image_to_text,
            group_Q=benchmark.in_split,
            num_own_Q=num_captions[benchmark.in_split],
            num_gallery=len(gallery.captions),
            how=how,
        ),
    ]


def retrieval_examples(benchmark: Benchmark, ranks: Ranked, num: int) -> DatasetExamples:
    """Return some queries within the split with their first results."""
    names = [image.name for image in benchmark.images]
    captions, own = benchmark.captions, benchmark.owner_G
    texts, images = benchmark.captions_in_split, benchmark.in_split
    asked = sample([f"{names[own[text]]}\0{captions[text]}" for text in texts], num)
    shown = sample([names[image] for image in images], num)
    pictures = nearest(benchmark.caption_GD[texts[asked]], benchmark.image_GD[images])
    found = nearest(benchmark.image_GD[images[shown]], benchmark.caption_GD[texts])
    return DatasetExamples(
        dataset=benchmark.config.name,
        text_to_image=tuple(
            TextQuery(
                caption=captions[texts[at]],
                image=names[own[texts[at]]],
                rank=int(ranks.text_to_image[at]) + 1,
                first=tuple(names[images[place]] for place in first),
            )
            for at, first in zip(asked, pictures, strict=True)
        ),
        image_to_text=tuple(
            ImageQuery(
                image=names[images[at]],
                captions=benchmark.images[images[at]].captions,
                rank=int(ranks.image_to_text[at]) + 1,
                first=tuple(
                    Caption(image=names[own[texts[place]]], text=captions[texts[place]])
                    for place in first
                ),
            )
            for at, first in zip(shown, found, strict=True)
        ),
    )


# Composed queries ---------------------------------------------------------------------------------


def measure_composed(
    config: ComposedQueries,
    benchmark: Benchmark,
    embedder: Embedder,
    how: Bootstrap,
    *,
    num_examples: int,
    batch_size: int,
    store: Store,
) -> tuple[list[Metric], ComposedExamples]:
    """Return top-K of combined, image-only and text-only queries, and some of them as examples.

    Raises:
        InputError: the file of queries cannot be used.
    """
    names = [image.name for image in benchmark.images]
    queries = composed.read_queries(config.path, names)
    texts = sorted({text for query in queries for text in (query.minus, query.plus) if text})
    file = embeddings_name(config.name, "words")
    rows = embed_texts(embedder, texts, store=store, file=file, batch_size=batch_size).rows
    embedded = _embedded_queries(queries, names, dict(zip(texts, rows, strict=True)))
    weights = Weights(image=config.image_weight, plus=config.plus_weight, minus=config.minus_weight)
    vectors = composed.vectors(embedded, benchmark.image_GD, weights)
    ranks = {
        method: composed.ranks(vector_QD, benchmark.image_GD, embedded)
        for method, vector_QD in vectors.items()
    }
    metrics = composed.measure(
        f"composed/{config.name}",
        ranks,
        queries,
        target_Q=embedded.target_Q,
        num_gallery=len(names),
        how=how,
    )
    asked = sample([f"{q.image}\0{q.minus}\0{q.plus}" for q in queries], num_examples)
    firsts = composed.first_results(
        vectors[COMBINED][asked], benchmark.image_GD, embedded.image_Q[asked], FIRST
    )
    return metrics, ComposedExamples(
        name=config.name,
        dataset=benchmark.config.name,
        image_weight=weights.image,
        plus_weight=weights.plus,
        minus_weight=weights.minus,
        queries=tuple(
            ComposedExample(
                image=queries[at].image,
                minus=queries[at].minus,
                plus=queries[at].plus,
                target=queries[at].target,
                kind=queries[at].kind,
                rank=int(ranks[COMBINED][at]) + 1,
                image_only_rank=int(ranks[IMAGE_ONLY][at]) + 1,
                first=tuple(names[place] for place in first),
            )
            for at, first in zip(asked, firsts, strict=True)
        ),
    )


def _embedded_queries(
    queries: Sequence[composed.ComposedQuery], names: Sequence[str], row_of_text: Mapping[str, Rows]
) -> EmbeddedQueries:
    nothing = np.zeros_like(next(iter(row_of_text.values())))
    row_of = {"": nothing, **row_of_text}
    place = {name: number for number, name in enumerate(names)}
    return EmbeddedQueries(
        image_Q=np.array([place[query.image] for query in queries]),
        target_Q=np.array([place[query.target] for query in queries]),
        plus_QD=np.stack([row_of[query.plus] for query in queries]),
        minus_QD=np.stack([row_of[query.minus] for query in queries]),
    )
