"""Metrics with their values in the resamples, and the file that keeps those values."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openalign.errors import InputError
from openalign.evaluate.metrics.resampled import (
    Resampled,
    read_resamples,
    resampled_metric,
    values_by_name,
    write_resamples,
)
from openalign.evaluate.results import Metric


def resampled(name: str, values: list[float]) -> Resampled:
    return resampled_metric(name, 0.5, np.array(values), confidence=0.5, n=4, chance=0.1)


WITHOUT = Resampled(metric=Metric(name="a/std", value=1, low=1, high=1, n=3, chance=0))
"""A metric whose interval is not of resamples."""


def test_an_interval_holds_the_middle_of_the_resampled_values() -> None:
    # Quartiles of 0, 1, 2, 3, 4, whatever their order.
    found = resampled("a/x", [4, 0, 3, 1, 2])

    assert (found.metric.low, found.metric.value, found.metric.high) == (1.0, 0.5, 3.0)


def test_values_come_back_bit_for_bit_by_name(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=50).tolist()
    metrics = [resampled("a/x", values), WITHOUT, resampled("b|\u00e9/y", [0.1, 0.2])]

    file = write_resamples(str(tmp_path), metrics)

    found = read_resamples(f"{tmp_path}/{file.name}")
    assert (file.name, file.num_rows) == ("resamples.parquet", 2)
    assert list(found) == list(values_by_name(metrics)) == ["a/x", "b|\u00e9/y"]
    assert found["a/x"].tolist() == values
    assert found["b|\u00e9/y"].tolist() == [0.1, 0.2]


def test_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    metrics = [resampled("a/x", [0.25] * 100), resampled("a/y", [0.5, 0.75])]

    one, two = (write_resamples(f"{tmp_path}/{name}", metrics) for name in ("one", "two"))

    assert one == two


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "resamples.parquet").write_text("{}")

    with pytest.raises(InputError, match=r"resamples\.parquet: is not a file of resamples") as said:
        read_resamples(f"{tmp_path}/resamples.parquet")

    file = f"{tmp_path}/resamples.parquet"
    assert said.value.hint == f"remove {file} and run `openalign evaluate` again"


def test_a_table_of_another_sort_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"name": ["a.png"], "webp": [b"x"]}), tmp_path / "resamples.parquet")

    with pytest.raises(InputError, match=r"not a file of resamples: `values` is missing"):
        read_resamples(f"{tmp_path}/resamples.parquet")


def test_changed_bytes_are_refused(tmp_path: Path) -> None:
    write_resamples(str(tmp_path), [resampled("a/x", [0.25, 0.5, 0.75])])
    path = tmp_path / "resamples.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(60) + whole[64:])

    with pytest.raises(InputError, match=r"resamples\.parquet: is not a file of resamples: "):
        read_resamples(str(path))
