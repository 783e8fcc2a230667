import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from openalign.files.schemas import LEDGER
from openalign.files.states import FetchState, SelectState
from openalign.filtering.config import ImageRules
from openalign.filtering.counts.tokens import hash_strings
from openalign.filtering.rules.image import (
    IMAGE_RULES,
    SIZE_RULES,
    ImageBatch,
    ImageCorpus,
    header_state,
)
from openalign.filtering.rules.table import ask_rules, first_rule, names_of

BOUNDS = [
    pytest.param(300, 200, "short_side", id="short side on the bound"),
    pytest.param(300, 201, None, id="short side just above"),
    pytest.param(200, 300, "short_side", id="portrait on the bound"),
    pytest.param(603, 201, "aspect_ratio", id="ratio on the bound"),
    pytest.param(602, 201, None, id="ratio just below"),
    pytest.param(201, 603, "aspect_ratio", id="portrait judged like landscape"),
    pytest.param(1000, 100, "short_side", id="the short side is asked first"),
]


def judged(
    width_px: int, height_px: int, *, many: bool = False, copy: bool = False
) -> list[str | None]:
    row = {"width_px": width_px, "height_px": height_px, "sha256": "aa", "phash": "0" * 16}
    [rows] = pa.Table.from_pylist([row], schema=LEDGER).to_batches()
    corpus = ImageCorpus(
        images_with_many_alt_texts=hash_strings(pl.Series(["aa"] if many else [], dtype=pl.String)),
        is_copy=lambda images: np.array([copy] * images.height),
    )
    flags = ask_rules(IMAGE_RULES, ImageBatch.of(rows), corpus, ImageRules())
    return first_rule(flags, names_of(IMAGE_RULES)).to_list()


def test_the_table_has_every_state_of_select_in_its_order() -> None:
    assert names_of(IMAGE_RULES) == tuple(state.value for state in SelectState)[1:]


def test_what_a_header_answers_is_a_state_of_fetch_too() -> None:
    assert names_of(SIZE_RULES) == (FetchState.SHORT_SIDE, FetchState.ASPECT_RATIO)
    assert names_of(IMAGE_RULES)[:2] == names_of(SIZE_RULES)


@pytest.mark.parametrize(("width_px", "height_px", "reason"), BOUNDS)
def test_an_image_is_dropped_on_the_bound(width_px: int, height_px: int, reason: str) -> None:
    assert judged(width_px, height_px) == [reason]


@pytest.mark.parametrize(("width_px", "height_px", "reason"), BOUNDS)
def test_a_header_is_judged_as_the_image_is(width_px: int, height_px: int, reason: str) -> None:
    assert header_state(width_px, height_px, rules=ImageRules()) == reason


def test_corpus_rules_come_after_the_size() -> None:
    assert judged(300, 300, many=True, copy=True) == ["image_with_many_alt_texts"]
    assert judged(300, 300, copy=True) == ["near_duplicate"]
    assert judged(200, 300, many=True) == ["short_side"]
