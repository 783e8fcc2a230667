"""Queries that edit an image in words (ALIGN §7), as CIRR and FashionIQ publish them.

What the two tasks share: what they ask of a data set, and the examples that they keep. A query is
the weighted sum of an image and one text, both unit vectors.
"""

from collections.abc import Callable

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset, EditQuery
from openalign.evaluate.tasks.contract import Needs

EDITS = "edits"
"""What the texts of the queries are called in file names."""

TextOf = Callable[[EditQuery], str]
"""How a task makes one text of what people wrote of a query; empty where they wrote nothing."""


class EditExample(msgspec.Struct, frozen=True, kw_only=True):
    """A query and the images found for it."""

    reference: str
    text: str
    target: str
    category: str
    rank: int
    """Place of the target; 1 is the first."""

    image_only_rank: int
    """Place of the target for the image without the text."""

    first: tuple[str, ...]


class EditExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Some queries."""

    queries: tuple[EditExample, ...]


def edits_of(dataset: Dataset, benchmark: str) -> ComposedDataset:
    """Return a data set of queries with targets.

    Raises:
        InputError: it is another data set, it has no query, or a query's target is not published.
    """
    of = f"benchmark `{benchmark}`"
    if not isinstance(dataset, ComposedDataset):
        raise InputError(
            f"{of}: has no queries that edit an image",
            hint="this task needs a data set of such queries: CIRR or FashionIQ",
        )
    if not dataset.queries:
        raise InputError(f"{of}: has no query about its images")
    for query in dataset.queries:
        if query.target is None:
            raise InputError(
                f"{of}: query {query.id} of split `{dataset.test_split}` has no target",
                hint="targets of the test splits are not published: read `split: val`",
            )
    return dataset


def needs_of(dataset: ComposedDataset, text_of: TextOf) -> Needs:
    """Return all images and the queries' texts."""
    return Needs(splits=None, texts={EDITS: texts_of(dataset, text_of)})


def texts_of(dataset: ComposedDataset, text_of: TextOf) -> list[str]:
    """Return the text of every query that has one, once and sorted."""
    return sorted({text for query in dataset.queries if (text := text_of(query))})
