"""What a whole fetch costs, from a sample: numbers by hand, and intervals against SciPy's."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import polars as pl
import pytest
from scipy import stats

from openalign.ingest.fetch_sample import FetchedSample, MeasuredPart
from openalign.ingest.fetching.slow_hosts import SlowHost
from openalign.run.verbs.projection import as_json, lines, project, wilson


def sample_of(
    num_candidates: int = 400, parts: Sequence[tuple[int, float]] = ((2, 0.2), (2, 0.4))
) -> FetchedSample:
    return FetchedSample(
        num_candidates=num_candidates,
        num_sampled=4,
        images=pl.DataFrame(
            {
                "state": ["fetched", "fetched", "fetched", "timeout"],
                "num_candidates": [1, 1, 1, 1],
                "num_bytes": [100, 200, 300, 0],
                "stored_bytes": [1000, 1000, 1000, 0],
            }
        ),
        parts=[MeasuredPart(number, number, seconds) for number, seconds in parts],
        slow_hosts=[SlowHost(7200.0, "slow.example", 36_000, 5.0)],
    )


def test_totals_are_those_of_the_sample_times_what_it_stands_for() -> None:
    found = project(sample_of(), price_core_hour=3.0, price_gb_month=2.0)

    assert (found.num_images.value, found.sampled_images) == (400, 4)
    assert found.sampled_states == {"fetched": 3, "timeout": 1}
    assert found.success_rate.value == 0.75
    assert found.num_bytes.value == 60_000
    # The sum's deviation is sqrt(4 * 50,000 / 3), and of 100 candidates 99 were not seen.
    half = 1.959964 * math.sqrt(4 * 50_000 / 3) * math.sqrt(0.99) * 100
    assert found.num_bytes.high == pytest.approx(60_000 + half)
    assert found.num_bytes.low == pytest.approx(60_000 - half)
    # Parts deviate by 0.1 s from 0.15 s an image; their sum by sqrt(2 * 0.02).
    assert found.cpu_seconds_per_image.value == pytest.approx(0.15)
    assert found.cpu_seconds_per_image.high == pytest.approx(0.15 + 12.706 * 0.2 / 4)
    assert found.cpu_seconds_per_image.low == 0.0
    assert found.core_hours.value == pytest.approx(400 * 0.15 / 3600)
    assert found.cost_of_cores is not None
    assert found.cost_of_cores.value == pytest.approx(0.05)
    assert found.cost_of_storage_per_month is not None
    assert found.cost_of_storage_per_month.value == pytest.approx(2 * 300_000 / 1e9)
    [host] = found.slow_hosts
    assert (host.host, host.hours) == ("slow.example", 2.0)


def test_images_with_many_texts_make_totals_less_sure() -> None:
    sample = replace(
        sample_of(),
        num_sampled=8,
        images=pl.DataFrame(
            {
                "state": ["fetched"] * 4,
                "num_candidates": [1, 1, 1, 5],
                "num_bytes": [100] * 4,
                "stored_bytes": [0] * 4,
            }
        ),
        parts=[MeasuredPart(1, 1, 0.1), MeasuredPart(3, 7, 0.3)],
    )

    found = project(sample, price_core_hour=None, price_gb_month=None)

    # Half an image a candidate; images differ from that by 0.5, 0.5, 0.5 and -1.5.
    half = 1.959964 * math.sqrt(4 / 3 * 3.0) * math.sqrt(0.98) * 50
    assert found.num_images.value == 200
    assert found.num_images.high == pytest.approx(200 + half)
    assert found.num_bytes.value == 20_000
    assert found.num_bytes.high == pytest.approx(20_000 + 100 * half)
    # 0.05 s a candidate; parts differ from that by 0.05 and -0.05 s.
    assert found.cpu_seconds_per_image.high == pytest.approx(0.1)
    assert found.core_hours.value == pytest.approx(400 * 0.05 / 3600)
    half = 12.706 * math.sqrt(2 * 2 * 0.05**2) / 8
    assert found.core_hours.high == pytest.approx(400 * (0.05 + half) / 3600)


def test_what_was_seen_as_a_whole_is_no_guess_but_its_time_is() -> None:
    found = project(sample_of(4), price_core_hour=None, price_gb_month=None)

    assert found.num_bytes.low == found.num_bytes.value == found.num_bytes.high == 600
    rate = found.success_rate
    assert rate.low == rate.value == rate.high == 0.75
    assert found.cpu_seconds_per_image.low < found.cpu_seconds_per_image.high
    assert found.cost_of_cores is None


def test_one_part_has_no_interval() -> None:
    found = project(sample_of(parts=((4, 0.6),)), price_core_hour=None, price_gb_month=None)

    assert found.cpu_seconds_per_image.low == found.cpu_seconds_per_image.high == 0.15


def test_ten_parts_have_the_interval_of_student() -> None:
    parts = tuple((10, 0.1 + 0.01 * (n % 2)) for n in range(10))
    found = project(sample_of(parts=parts), price_core_hour=None, price_gb_month=None)

    # With equal parts the ratio is a mean: SciPy's interval of the mean, an image's share.
    times = [seconds / 10 for _, seconds in parts]
    expected = stats.t.interval(0.95, 9, loc=0.0105, scale=stats.sem(times))
    interval = (found.cpu_seconds_per_image.low, found.cpu_seconds_per_image.high)
    assert interval == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("successes", "number"), [(0, 7), (6, 12), (7, 7), (812, 1000)])
def test_shares_have_the_interval_of_wilson(successes: int, number: int) -> None:
    found = wilson(successes, number)

    expected = stats.binomtest(successes, number).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert found.value == successes / number


def test_the_table_and_the_json_say_the_same() -> None:
    found = project(sample_of(), price_core_hour=3.0, price_gb_month=None)
    table = [line.split() for line in lines(found)]

    assert lines(found)[0] == "from 4 of 400 candidates, which name 4 images"
    assert ["images", "400", "400", "to", "400"] in table
    assert ["fetched", "300", "30.2", "%", "to", "95.4", "%", "75.0", "%"] in table
    assert [*["core-hours", "0.02", "0.00", "to", "0.09", "150.0", "ms"]] in table
    assert [*["originals", "60", "kB", "9.65", "kB", "to", "110", "kB", "150", "bytes"]] in table
    assert [*["cost", "of", "cores", "0.05", "0.00", "to", "0.26"]] in table
    assert not [line for line in table if line[:1] == ["storage"]]
    assert lines(found)[-1] == "slow.example: 36,000 candidates, 2.0 hours at 5 requests a second"
    assert json.loads(as_json(found))["cost_of_storage_per_month"] is None
    assert json.loads(as_json(found))["num_bytes"]["value"] == 60_000
