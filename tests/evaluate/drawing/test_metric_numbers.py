import pytest

from openalign.evaluate.drawing.metric_numbers import correlation_number, gain_number, share_number
from openalign.evaluate.results import Metric


@pytest.mark.parametrize(
    ("expected", "shown"),
    [
        pytest.param(None, "", id="no ties"),
        pytest.param(0.4394, "", id="reads the same"),
        pytest.param(0.4396, "44.0", id="reads otherwise"),
    ],
)
def test_a_value_under_random_ties_is_shown_where_it_reads_otherwise(
    expected: float | None, shown: str
) -> None:
    metric = Metric(
        name="a/top_1",
        value=0.4391,
        low=0.4,
        high=0.5,
        n=10_000,
        chance=0.1,
        ties_at_random=expected,
    )

    number = share_number(metric)

    assert (number.text, number.ties) == ("43.9", shown)


def test_what_rounds_to_zero_has_no_sign() -> None:
    metric = Metric(name="a/x", value=-0.0002, low=-0.0004, high=0.0004, n=9, chance=0.0)

    correlation, gain = correlation_number(metric), gain_number(metric)

    assert (correlation.text, correlation.interval) == ("0.0", "0.0 to 0.0")
    assert (gain.text, gain.interval) == ("+0.0", "+0.0 to +0.0")
