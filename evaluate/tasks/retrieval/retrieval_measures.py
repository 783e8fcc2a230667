"""Measures of retrieval (ALIGN §5.1): recall at K in both directions, on embeddings alone.

How ranks, ties and recall are counted is said in `metrics.ranking`.

Shape suffixes:
    Q  queries
    G  gallery
    K  places that count: `RECALL_AT`
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openalign.evaluate.drawing.sampling import nearest, sample
from openalign.evaluate.metrics.bootstrap import (
    Bootstrap,
    Floats,
    Ints,
    lower_median,
    resampled_medians,
)
from openalign.evaluate.metrics.ranking import (
    Ranks,
    RightItems,
    chance_recall,
    even_weights,
    mean_of,
    ranks_of,
    recalls,
)
from openalign.evaluate.metrics.resampled import Resampled, resampled_metric
from openalign.evaluate.metrics.vectors import Vectors
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark
from openalign.evaluate.tasks.contract import RECALL_AT, Measured, Sampling, name_of, recall_at
from openalign.evaluate.tasks.retrieval.retrieval import (
    FOLDS,
    GALLERY,
    IMAGE_TO_TEXT,
    MEAN_RECALL,
    MEDIAN_RANK,
    SPLIT,
    TEXT_TO_IMAGE,
    FoundCaption,
    ImageQuery,
    RetrievalExamples,
    RetrievalFacts,
    RetrievalTask,
    TextQuery,
    gallery_of,
    num_fold_images,
    split_of,
)

_RECALLS = {k: recall_at(k) for k in RECALL_AT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """What is searched: some images and all their captions, by their places."""

    images: Ints
    captions: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """The queries of one direction: their ranks, and all that their numbers depend on."""

    ranks: Ranks
    group_Q: Ints
    """The image of each query: images are what the bootstrap draws."""

    num_right_Q: Ints
    num_gallery_Q: Ints
    weight_Q: Floats
    """How much each query counts, 1 on average."""

    @classmethod
    def joined(cls, parts: Sequence["Direction"]) -> "Direction":
        """Return the queries of several galleries; each gallery counts the same."""
        gallery_Q = np.repeat(np.arange(len(parts)), [len(part.group_Q) for part in parts])
        return cls(
            ranks=Ranks.joined([part.ranks for part in parts]),
            group_Q=np.concatenate([part.group_Q for part in parts]),
            num_right_Q=np.concatenate([part.num_right_Q for part in parts]),
            num_gallery_Q=np.concatenate([part.num_gallery_Q for part in parts]),
            weight_Q=even_weights(gallery_Q),
        )

    def chance_recall(self, k: int) -> float:
        """Return the expected recall at K of a random order."""
        return chance_recall(k, self.num_right_Q, self.num_gallery_Q, weight_Q=self.weight_Q)


def measure(
    task: RetrievalTask, benchmark: EmbeddedBenchmark, sampling: Sampling
) -> Measured[RetrievalFacts, RetrievalExamples]:
    """Return recall in both directions, within the split, its folds, and the whole gallery.

    A gallery that is the split itself is measured once.
    """
    split = split_of(task, benchmark.dataset)
    small = _gallery(benchmark, {split})
    large = _gallery(benchmark, gallery_of(task, benchmark.dataset))
    searched = {SPLIT: [(small, small)]}
    if task.folds is not None:
        searched[FOLDS] = [(fold, fold) for fold in _folds(benchmark, small, task.folds)]
    if len(small.images) < len(large.images):
        searched[GALLERY] = [(small, large)]
    found = {scope: _directions(benchmark, pairs) for scope, pairs in searched.items()}
    metrics = [
        metric
        for scope, directions in found.items()
        for metric in _metrics(f"retrieval/{name_of(task)}/{scope}", directions, sampling.bootstrap)
    ]
    examples = _examples(benchmark, small, found[SPLIT], sampling.num_examples)
    return Measured(
        resampled=metrics,
        facts=RetrievalFacts(
            split=split,
            num_images=len(small.images),
            num_captions=len(small.captions),
            gallery_splits=tuple(sorted({benchmark.images[at].split for at in large.images})),
            num_gallery_images=len(large.images),
            num_gallery_captions=len(large.captions),
            num_folds=task.folds,
            num_fold_images=num_fold_images(len(small.images), task.folds),
        ),
        examples=examples,
        shown={query.image for query in examples.image_to_text}.union(
            *({query.image, *query.first} for query in examples.text_to_image)
        ),
    )


def _gallery(benchmark: EmbeddedBenchmark, splits: set[str] | None) -> Gallery:
    images = np.flatnonzero([splits is None or image.split in splits for image in benchmark.images])
    return _gallery_of(benchmark, images)


def _gallery_of(benchmark: EmbeddedBenchmark, images: Ints) -> Gallery:
    return Gallery(images=images, captions=np.flatnonzero(np.isin(benchmark.owner_G, images)))


def _folds(benchmark: EmbeddedBenchmark, gallery: Gallery, num_folds: int) -> list[Gallery]:
    """Cut a gallery into runs of consecutive images whose lengths differ by one at most."""
    return [_gallery_of(benchmark, run) for run in np.array_split(gallery.images, num_folds)]


def _directions(
    benchmark: EmbeddedBenchmark, searched: Sequence[tuple[Gallery, Gallery]]
) -> dict[str, Direction]:
    """Search each gallery with its queries, both ways."""
    images_GD, captions_GD = benchmark.image_GD, benchmark.captions_embedded
    owner_G = benchmark.owner_G
    by_text = [
        _direction(
            captions_GD[queries.captions],
            images_GD[gallery.images],
            owner_Q=owner_G[queries.captions],
            owner_G=gallery.images,
        )
        for queries, gallery in searched
    ]
    by_image = [
        _direction(
            images_GD[queries.images],
            captions_GD[gallery.captions],
            owner_Q=queries.images,
            owner_G=owner_G[gallery.captions],
        )
        for queries, gallery in searched
    ]
    return {TEXT_TO_IMAGE: Direction.joined(by_text), IMAGE_TO_TEXT: Direction.joined(by_image)}


def _direction(
    query_QD: Vectors, gallery_GD: Vectors, *, owner_Q: Ints, owner_G: Ints
) -> Direction:
    """Search one gallery; an item is right when its owner, an image, is that of the query."""
    right = RightItems.by_owner(owner_Q, owner_G)
    return Direction(
        ranks=ranks_of(query_QD, gallery_GD, right),
        group_Q=owner_Q,
        num_right_Q=right.num_Q,
        num_gallery_Q=np.full_like(owner_Q, len(gallery_GD)),
        weight_Q=np.ones(len(owner_Q)),
    )


def _metrics(
    prefix: str, directions: Mapping[str, Direction], bootstrap: Bootstrap
) -> list[Resampled]:
    """Return both directions' recalls and median ranks, and the mean of all recalls."""
    metrics: list[Resampled] = []
    parts: list[Resampled] = []
    for name, direction in directions.items():
        of_direction = recalls(
            f"{prefix}/{name}",
            direction.ranks,
            at=_RECALLS,
            group_Q=direction.group_Q,
            chance=[direction.chance_recall(k) for k in RECALL_AT],
            bootstrap=bootstrap,
            weight_Q=direction.weight_Q,
        )
        parts += of_direction
        metrics += of_direction
        metrics.append(_median_rank(f"{prefix}/{name}/{MEDIAN_RANK}", direction, bootstrap))
    num_queries = sum(len(direction.group_Q) for direction in directions.values())
    mean = mean_of(f"{prefix}/{MEAN_RECALL}", parts, n=num_queries, bootstrap=bootstrap)
    return [*metrics, mean]


def _median_rank(name: str, direction: Direction, bootstrap: Bootstrap) -> Resampled:
    """Return the place that half of the queries reach; 1 is the first."""
    place_Q = direction.ranks.rank_Q.astype(np.float64) + 1.0
    return resampled_metric(
        name,
        lower_median(place_Q),
        resampled_medians(place_Q, direction.group_Q, bootstrap),
        confidence=bootstrap.confidence,
        n=len(place_Q),
        chance=float(_chance_median_rank(direction)),
        higher_is_better=False,
    )


def _chance_median_rank(direction: Direction) -> int:
    """Return the smallest K at which a random order reaches a recall of one half."""
    low, high = 1, int(direction.num_gallery_Q.max())
    while low < high:
        middle = (low + high) // 2
        if direction.chance_recall(middle) >= 0.5 - 1e-12:
            high = middle
        else:
            low = middle + 1
    return low


def _examples(
    benchmark: EmbeddedBenchmark,
    queries: Gallery,
    found: Mapping[str, Direction],
    num_examples: int,
) -> RetrievalExamples:
    """Return some queries within the split with their first results."""
    rank_of_text = found[TEXT_TO_IMAGE].ranks.rank_Q
    rank_of_image = found[IMAGE_TO_TEXT].ranks.rank_Q
    names, captions = [image.name for image in benchmark.images], benchmark.captions
    owner_G, caption_GD = benchmark.owner_G, benchmark.captions_embedded
    texts, images = queries.captions, queries.images
    asked = sample([f"{names[owner_G[text]]}\0{captions[text]}" for text in texts], num_examples)
    shown = sample([names[image] for image in images], num_examples)
    found_images = nearest(caption_GD[texts[asked]], benchmark.image_GD[images])
    found_texts = nearest(benchmark.image_GD[images[shown]], caption_GD[texts])
    return RetrievalExamples(
        text_to_image=tuple(
            TextQuery(
                caption=captions[texts[at]],
                image=names[owner_G[texts[at]]],
                rank=int(rank_of_text[at]) + 1,
                first=tuple(names[images[place]] for place in first),
            )
            for at, first in zip(asked, found_images, strict=True)
        ),
        image_to_text=tuple(
            ImageQuery(
                image=names[images[at]],
                captions=benchmark.images[images[at]].captions,
                rank=int(rank_of_image[at]) + 1,
                first=tuple(
                    FoundCaption(image=names[owner_G[texts[place]]], text=captions[texts[place]])
                    for place in first
                ),
            )
            for at, first in zip(shown, found_texts, strict=True)
        ),
    )
