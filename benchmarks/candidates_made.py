"""Candidates as harvest writes them, made of the columns that a benchmark cares for."""

import polars as pl
import pyarrow as pa


def as_candidates(columns: pl.DataFrame) -> pa.Table:
    """Return the columns as a table of candidates; those that are not there are null."""
    from openalign.files.schemas import CANDIDATE

    table = columns.to_arrow()
    for field in CANDIDATE:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(CANDIDATE.names).cast(CANDIDATE)
