"""Settings of `evaluate`: which benchmarks are measured, and how sure the numbers must be."""

import re
from dataclasses import dataclass
from typing import Literal

from openalign.settings.fields import location

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KarpathyDataset:
    """An image-caption benchmark in Karpathy's JSON, as Flickr30K and MSCOCO have it (§5.1)."""

    kind: Literal["karpathy"] = "karpathy"
    """Which format: Karpathy's JSON."""

    name: str
    """What results and the report call it: lower-case letters, digits, `_` and `-`."""

    path: str = location()
    """The JSON file, a path or URL."""

    images: str = location("")
    """Folder or URL of the pictures; the JSON's own folder when empty."""

    split: str = "test"
    """Queries come from this split, and it is the first gallery."""

    gallery_splits: tuple[str, ...] = ()
    """The second, larger gallery: the split and these; every split of the file when empty."""

    max_captions: int = 5
    """Keep a picture's first captions only; five is the habit that makes numbers comparable."""

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not self.split:
            raise ValueError("split must be named, got nothing: queries come from it")
        if self.max_captions < 1:
            raise ValueError(
                f"max_captions must be at least 1, got {self.max_captions}: "
                "a picture without captions can be neither a query nor a result"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedQueries:
    """Queries of a picture plus and minus words (§7), with the picture that must be found."""

    name: str = "composed"
    """What results and the report call it."""

    path: str = location()
    """A JSON file of queries: image, minus, plus, target, kind."""

    dataset: str = ""
    """Name of the data set whose pictures they are; the first one when empty."""

    image_weight: float = 1.0
    """Weight of the picture's embedding; the paper found 1 to 2 best (§7)."""

    plus_weight: float = 2.0
    """Weight of the words to add, against `image_weight`."""

    minus_weight: float = 2.0
    """Weight of the words to take away, against `image_weight`."""

    def __post_init__(self) -> None:
        _check_name(self.name)
        for field in ("image_weight", "plus_weight", "minus_weight"):
            value = getattr(self, field)
            if not 0.0 <= value < float("inf"):
                raise ValueError(f"{field} must be 0 or more, got {value}: signs are implied")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """Which benchmarks to measure, and how intervals are drawn."""

    datasets: tuple[KarpathyDataset, ...] = ()
    """Benchmarks for retrieval in both directions; their pictures are what `search` finds."""

    composed: tuple[ComposedQueries, ...] = ()
    """Sets of composed queries over those pictures."""

    bootstrap_resamples: int = 1000
    """How often the queries are drawn anew for each interval."""

    confidence: float = 0.95
    """Share of the resampled values that an interval holds."""

    seed: int = 0
    """Seed of the resampling."""

    num_examples: int = 48
    """How many queries a data set hands to the report with their first results."""

    batch_size: int = 128
    """Pictures or texts a forward pass; it can change the last bit of an embedding."""

    def __post_init__(self) -> None:
        names = [dataset.name for dataset in self.datasets]
        if len(set(names)) < len(names):
            raise ValueError(f"datasets must have different names, got {', '.join(names)}")
        sets = [queries.name for queries in self.composed]
        if len(set(sets)) < len(sets):
            raise ValueError(f"composed must have different names, got {', '.join(sets)}")
        for queries in self.composed:
            if queries.dataset not in ("", *names) or not names:
                raise ValueError(
                    f"composed: dataset must be one of {', '.join(names) or 'none'}, "
                    f"got {queries.dataset!r}: the pictures come from there"
                )
        for field in ("bootstrap_resamples", "num_examples", "batch_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(
                f"confidence must be above 0 and below 1, got {self.confidence}: it is a share"
            )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name must be lower-case letters, digits, `_` and `-`, got {name!r}: "
            "it becomes part of file names"
        )
