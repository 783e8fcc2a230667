"""What benchmarks feed to stages has the columns that stages read today."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import polars as pl
import pyarrow.parquet as pq
import pytest

from openalign.files.schemas import CANDIDATE

Script = Callable[[str], ModuleType]
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """Return a benchmark's module, by name; it is forgotten when the test ends."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == BENCHMARKS:
            del sys.modules[name]


def test_columns_that_a_benchmark_does_not_name_are_null(script: Script) -> None:
    table = script("candidates_made").as_candidates(pl.DataFrame({"alt_text": ["a", "b"]}))
    assert table.schema.equals(CANDIDATE)
    assert table["alt_text"].to_pylist() == ["a", "b"]
    assert all(table[name].null_count == 2 for name in CANDIDATE.names if name != "alt_text")


def test_the_filter_benchmark_writes_candidates(script: Script, tmp_path: Path) -> None:
    script("filter").generate(tmp_path, 800)
    files = sorted(tmp_path.glob("*.parquet"))
    assert files
    assert all(pq.read_schema(file).equals(CANDIDATE) for file in files)


def test_the_bucket_benchmark_makes_candidates(script: Script) -> None:
    batches = list(script("buckets").candidates(10))
    assert sum(map(len, batches)) == 10
    assert all(batch.schema.equals(CANDIDATE) for batch in batches)


def test_the_scaling_benchmark_writes_candidates(script: Script, tmp_path: Path) -> None:
    with script("scaling").images_served(tmp_path, 3) as connect_to:
        assert len(set(connect_to.values())) == 1
    kept = pq.read_table(tmp_path / "kept-0.parquet")
    assert kept.schema.equals(CANDIDATE)
    assert len(kept) == 3
