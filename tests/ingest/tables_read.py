"""Reading a table as harvest does, without Beam."""

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from openalign.errors import InputError
from openalign.ingest.sources.table import TableSource, check
from openalign.ingest.sources.url_tables.found import table_files
from openalign.ingest.sources.url_tables.table_reading import read_candidates

CAT = "http://a.example/cat.png"
DOG = "http://a.example/dog.png"


def read(path: Path, **changes: Any) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the candidates of a table and its counts."""
    source = TableSource(path=str(path), **changes)
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    check(source)
    for url in table_files(source.path):
        for piece in read_candidates(url, source=source):
            rows += pl.DataFrame(piece.candidates).to_dicts()
            counts.update(piece.counts)
    return rows, counts


def pairs(path: Path, **changes: Any) -> list[tuple[str, str]]:
    """Return the URL and the text of each candidate of a table."""
    return [(row["image_url"], row["alt_text"]) for row in read(path, **changes)[0]]


def message(path: Path, **changes: Any) -> str:
    """Return what the check of a table says against it."""
    with pytest.raises(InputError) as caught:
        check(TableSource(path=str(path), **changes))
    assert caught.value.hint
    return str(caught.value)
