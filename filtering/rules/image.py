"""Image-based filtering (ALIGN §3): one bit a rule and row; and the same bounds on a header."""

import numpy as np
import polars as pl

from openalign.files.states import FetchState, SelectState
from openalign.filtering.config import ImageRules
from openalign.filtering.counts.tokens import Bools
from openalign.filtering.rules.flags import Flags, pack

IMAGE_RULES = tuple(state.value for state in SelectState if state is not SelectState.KEPT)
"""The rules in the order in which they are asked; rule i sets bit i."""


def header_state(width_px: int, height_px: int, *, rules: ImageRules) -> FetchState | None:
    """Return why an image of this size need not be fetched, or None to fetch it."""
    short_side_px, long_side_px = sorted((width_px, height_px))
    if short_side_px <= rules.short_side_above_px:
        return FetchState.SHORT_SIDE
    if long_side_px >= rules.aspect_ratio_below * short_side_px:
        return FetchState.ASPECT_RATIO
    return None


def image_flags(
    images: pl.DataFrame,
    *,
    rules: ImageRules,
    has_many_alt_texts: Bools,
    is_near_duplicate: Bools,
) -> Flags:
    """Return a byte a row with the bit of every rule that drops it."""
    width_px = images["width_px"].to_numpy().astype(np.int64)
    height_px = images["height_px"].to_numpy().astype(np.int64)
    short_side_px = np.minimum(width_px, height_px)
    long_side_px = np.maximum(width_px, height_px)
    by_rule: dict[SelectState, Bools] = {
        SelectState.SHORT_SIDE: short_side_px <= rules.short_side_above_px,
        SelectState.ASPECT_RATIO: long_side_px >= rules.aspect_ratio_below * short_side_px,
        SelectState.IMAGE_WITH_MANY_ALT_TEXTS: has_many_alt_texts,
        SelectState.NEAR_DUPLICATE: is_near_duplicate,
    }
    return pack([by_rule[SelectState(rule)] for rule in IMAGE_RULES])
