"""The bounds that settings share: what stands on a bound, and the message."""

import math
from collections.abc import Callable

import pytest

from openalign.settings.limits import above, at_least, positive_share, within


@pytest.mark.parametrize(
    ("check", "passes", "refused", "message"),
    [
        pytest.param(
            lambda value: at_least(1, size=value),
            1,
            0,
            "size must be at least 1, got 0",
            id="least",
        ),
        pytest.param(
            lambda value: above(1.0, size=value),
            1.1,
            1.0,
            "size must be above 1.0, got 1.0",
            id="above",
        ),
        pytest.param(
            lambda value: within(0, 15, size=value),
            15,
            16,
            "size must be from 0 to 15, got 16",
            id="within, above",
        ),
        pytest.param(
            lambda value: within(0, 15, size=value),
            0,
            -1,
            "size must be from 0 to 15, got -1",
            id="within, below",
        ),
        pytest.param(
            lambda value: positive_share(size=value),
            1.0,
            0.0,
            "size must be above 0 and at most 1, got 0.0",
            id="share of nothing",
        ),
        pytest.param(
            lambda value: positive_share(size=value),
            0.1,
            1.1,
            "size must be above 0 and at most 1, got 1.1",
            id="share of more",
        ),
    ],
)
def test_a_bound_names_the_setting_the_bound_and_the_value(
    check: Callable[[float], None], passes: float, refused: float, message: str
) -> None:
    check(passes)

    with pytest.raises(ValueError, match=message):
        check(refused)
    with pytest.raises(ValueError, match="size must be a finite number, got nan"):
        check(math.nan)
