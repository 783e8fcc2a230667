"""Tallies that a worker holds."""

import polars as pl
import pyarrow as pa

from openalign.engines.tallies import HeldTallies, Tally


def test_a_few_rows_that_are_held_keep_no_table_in_memory() -> None:
    held = HeldTallies({"some": Tally("text", lambda rows: rows, lambda rows: rows)}, num_buckets=1)
    before = pa.total_allocated_bytes()
    for table in range(20):
        texts = [f"{table} {row} {'x' * 200}" for row in range(1000)]
        rows = pl.DataFrame(pa.table({"text": pa.array(texts, pa.large_string())}))
        assert not list(held.add("some", rows.filter(pl.int_range(pl.len()) < 3)))
        del rows

    # Each table has 200 kB, and what is held of all of them 12 kB.
    assert pa.total_allocated_bytes() - before < 100_000
