"""Amounts in words."""

import pytest

from openalign.amounts import bytes_in_words, time_in_words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        pytest.param(0, "0 bytes", id="none"),
        pytest.param(999, "999 bytes", id="below a unit"),
        pytest.param(1000, "1 kB", id="a unit"),
        pytest.param(93_100_000_000, "93.1 GB", id="three figures"),
        pytest.param(999_499, "999 kB", id="rounded down"),
        pytest.param(999_500, "1 MB", id="rounded up to the next unit"),
        pytest.param(1_234_000_000_000_000, "1.23 PB", id="the largest unit"),
    ],
)
def test_bytes_have_a_unit_that_people_read(number: int, words: str) -> None:
    assert bytes_in_words(number) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        pytest.param(0.4, "0 s", id="none"),
        pytest.param(119.0, "119 s", id="below two minutes"),
        pytest.param(120.0, "2 minutes", id="two minutes"),
        pytest.param(7199.0, "120 minutes", id="below two hours"),
        pytest.param(7200.0, "2.0 hours", id="two hours"),
        pytest.param(4_335_595.0, "1,204.3 hours", id="fifty days"),
    ],
)
def test_times_have_a_unit_that_people_read(seconds: float, words: str) -> None:
    assert time_in_words(seconds) == words
