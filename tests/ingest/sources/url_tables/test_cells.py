"""Rows of columns as Python's values."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables_read import CAT, read

from openalign.ingest.sources.url_tables.cells import as_records

NS = pa.timestamp("ns", "UTC")
NEXT = datetime(1970, 1, 1, 0, 0, 0, 2, UTC)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param(pa.array([2001, None], NS), [NEXT, None], id="timestamp"),
        pytest.param(pa.array([2001], pa.time64("ns")), [time(0, 0, 0, 2)], id="time"),
        pytest.param(pa.array([2001], pa.duration("ns")), [timedelta(microseconds=2)], id="length"),
        pytest.param(pa.array([2001], NS).dictionary_encode(), [NEXT], id="category"),
        pytest.param(pa.array([[2001], None], pa.list_(NS)), [[NEXT], None], id="list"),
        pytest.param(pa.array([{"a": 2001}], pa.struct({"a": NS})), [{"a": NEXT}], id="structure"),
        pytest.param(
            pa.array([[("a", 2001)]], pa.map_(pa.string(), NS)), [[("a", NEXT)]], id="map"
        ),
    ],
)
def test_a_time_keeps_its_microseconds(column: pa.Array, expected: list[Any]) -> None:
    rows = as_records(pa.record_batch({"x": column}))

    assert rows == [{"x": value} for value in expected]


def test_a_year_that_python_does_not_know_is_text() -> None:
    times = pa.array([0, 253_402_300_800], pa.timestamp("s", "UTC"))

    assert as_records(pa.record_batch({"x": times})) == [
        {"x": datetime(1970, 1, 1, tzinfo=UTC)},
        {"x": "10000-01-01 00:00:00Z"},
    ]


def test_a_time_in_a_zone_that_is_not_known_is_text_in_utc() -> None:
    times = pa.array([1, None], pa.timestamp("s", "Foo/Bar"))

    assert as_records(pa.record_batch({"x": times})) == [
        {"x": "1970-01-01 00:00:01Z"},
        {"x": None},
    ]


def test_nanoseconds_and_broken_texts_travel_along(tmp_path: Path) -> None:
    broken = pa.array([b"caf\xe9"]).view(pa.string())
    columns = {
        "url": [CAT],
        "caption": ["cat"],
        "taken": pa.array([2001], NS),
        "tags": pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), broken),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")

    [row], _ = read(tmp_path / "t.parquet", carry_columns=("taken", "tags"))

    assert row["carried"] == '{"tags":["caf\ufffd"],"taken":"1970-01-01T00:00:00.000002Z"}'
