"""A pipeline over a small table of pairs, for the toy kinds."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

PIPELINES = """\
pairs:
  description: "a table of pairs"
  root: {folder}/run
  harvest:
    source: {{kind: table, path: "{folder}/pairs.parquet"}}
    num_files: 1
"""


def write_pairs(folder: Path, captions: Sequence[str]) -> None:
    """Write a table of pairs and a pipelines.yaml that reads it."""
    urls = [f"https://example.org/{number}.jpg" for number in range(len(captions))]
    table = {"url": pa.array(urls, pa.string()), "caption": pa.array(captions, pa.string())}
    pq.write_table(pa.table(table), folder / "pairs.parquet")
    (folder / "pipelines.yaml").write_text(PIPELINES.format(folder=folder))
