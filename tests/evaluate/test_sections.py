import pytest

from openalign.evaluate.results import Metric
from openalign.evaluate.sections import verdict


@pytest.mark.parametrize(
    ("low", "high", "begins"),
    [
        pytest.param(0.01, 0.05, "The words help: top-1 gains", id="above zero"),
        pytest.param(0.0, 0.05, "No claim:", id="from zero"),
        pytest.param(-0.05, 0.0, "No claim:", id="up to zero"),
        pytest.param(-0.05, -0.01, "The words hurt:", id="below zero"),
    ],
)
def test_a_verdict_says_no_more_than_the_interval(low: float, high: float, begins: str) -> None:
    gain = Metric(name="gain", value=(low + high) / 2, low=low, high=high, n=10, chance=0.0)

    assert verdict(gain).startswith(begins)
