import numpy as np
import polars as pl
import pytest

from openalign.filtering.config import ImageRules
from openalign.filtering.rules.flags import first_rule
from openalign.filtering.rules.image import IMAGE_RULES, header_state, image_flags

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
    flags = image_flags(
        pl.DataFrame({"width_px": [width_px], "height_px": [height_px]}),
        rules=ImageRules(),
        has_many_alt_texts=np.array([many]),
        is_near_duplicate=np.array([copy]),
    )
    return first_rule(flags, IMAGE_RULES).to_list()


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
