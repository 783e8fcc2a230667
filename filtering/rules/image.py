"""Image-based filtering (ALIGN §3): the table of rules, and one function a rule.

A new rule is a function, a line in `IMAGE_RULES` and a state in `SelectState`, at the same place in
the order. Fetch asks the rules of `SIZE_RULES` about the first bytes of a file. So a rule there
needs only the size of an image, has a state in `FetchState` too, and its settings are part of what
a fetch depends on (`openalign/run/stages.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from openalign.files.removals import NO_REMOVALS, Removals
from openalign.files.states import FetchState, SelectState
from openalign.filtering.config import ImageRules
from openalign.filtering.counts.membership import present
from openalign.filtering.counts.tokens import U64, Bools, Ints, hash_strings
from openalign.filtering.rules.table import Rule


@dataclass(frozen=True, slots=True)
class ImageCorpus:
    """The knowledge of rules beyond a batch."""

    images_with_many_alt_texts: U64
    """Hashes of the sha256 of images; a sorted array, maybe memory-mapped."""

    is_copy: Callable[[pl.DataFrame], Bools]
    """Tells which images (`sha256`, `phash`) are copies of a held-out one."""

    removals: Removals = NO_REMOVALS


@dataclass(frozen=True, slots=True)
class ImageSizes:
    """The sizes of images, which their headers show."""

    width_px: Ints
    height_px: Ints

    @property
    def short_side_px(self) -> Ints:
        """The shorter side of each."""
        return np.minimum(self.width_px, self.height_px)

    @property
    def long_side_px(self) -> Ints:
        """The longer side of each."""
        return np.maximum(self.width_px, self.height_px)


@dataclass(frozen=True, slots=True)
class ImageBatch(ImageSizes):
    """A batch as the rules see it; everything has one entry a row."""

    rows: pa.RecordBatch
    """Fetched rows of the ledger (`schemas.LEDGER`)."""

    @classmethod
    def of(cls, rows: pa.RecordBatch) -> "ImageBatch":
        """Read a batch of fetched rows."""
        width_px, height_px = (
            pl.Series(rows.column(side)).to_numpy().astype(np.int64)
            for side in ("width_px", "height_px")
        )
        return cls(width_px, height_px, rows)


def has_short_side(sizes: ImageSizes, _: object, rules: ImageRules) -> Bools:
    """Tell which images are too small."""
    return sizes.short_side_px <= rules.short_side_above_px


def has_wide_ratio(sizes: ImageSizes, _: object, rules: ImageRules) -> Bools:
    """Tell which images are too long for their short side."""
    return sizes.long_side_px >= rules.aspect_ratio_below * sizes.short_side_px


def has_many_alt_texts(batch: ImageBatch, corpus: ImageCorpus, _: ImageRules) -> Bools:
    """Tell which images, by their bytes, have more alt-texts than one may."""
    hashes = hash_strings(batch.rows.column("sha256"))
    return present(hashes, corpus.images_with_many_alt_texts)


def is_near_duplicate(batch: ImageBatch, corpus: ImageCorpus, _: ImageRules) -> Bools:
    """Tell which images are copies of a held-out one."""
    return corpus.is_copy(pl.DataFrame(batch.rows.select(["sha256", "phash"])))


def is_removed(batch: ImageBatch, corpus: ImageCorpus, _: ImageRules) -> Bools:
    """Tell which images are on a removal list."""
    urls, contents = (pl.Series(batch.rows.column(name)) for name in ("image_url", "sha256"))
    return corpus.removals.of_addresses(urls) | corpus.removals.of_contents(contents)


SIZE_RULES: tuple[Rule[ImageSizes, object, ImageRules], ...] = (
    Rule(SelectState.SHORT_SIDE, has_short_side),
    Rule(SelectState.ASPECT_RATIO, has_wide_ratio),
)
"""The rules that an image's header can answer; they are asked first."""

IMAGE_RULES: tuple[Rule[ImageBatch, ImageCorpus, ImageRules], ...] = (
    *SIZE_RULES,
    Rule(SelectState.IMAGE_WITH_MANY_ALT_TEXTS, has_many_alt_texts),
    Rule(SelectState.NEAR_DUPLICATE, is_near_duplicate),
    Rule(SelectState.REMOVED, is_removed),
)
"""The rules in the order in which they are asked, which is the order of `SelectState`."""


def header_state(width_px: int, height_px: int, *, rules: ImageRules) -> FetchState | None:
    """Return why an image of this size need not be fetched, or None to fetch it."""
    sizes = ImageSizes(np.array([width_px]), np.array([height_px]))
    for rule in SIZE_RULES:
        if rule.drops(sizes, None, rules)[0]:
            return FetchState(rule.state.value)
    return None
