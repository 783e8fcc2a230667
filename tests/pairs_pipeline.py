"""A pipeline over a table of images that a small web of the tests has, driven by its commands."""

from pathlib import Path

import pyarrow as pa
from faulty_web import HOST, SITE, Web

from openalign import cli
from openalign.files.tables import write_table

PIPELINE = """
pairs:
  root: {root}
  web:
    contact: test@example.org
    requests_per_second: 1000
    num_retries: 0
    ask_tdmrep: false
    allowed_networks: [127.0.0.0/8]
    connect_to: {{{host}: "{address}"}}
  harvest:
    source: {{kind: table, path: {folder}/pairs.parquet}}
    num_files: 2
  filter:
    text: {{min_unigrams: 1, frequent: {{kind: min_count, at_least: 1}}}}
  fetch: {{num_buckets: 2, images_per_shard: 4, size_px: 20}}
  select: {{image: {{short_side_above_px: 10}}, held_out: []}}
"""


def write_pipeline(folder: Path, web: Web, num_images: int) -> None:
    """Write the settings and the table: every image under two texts."""
    rows = [
        {"url": f"{SITE}/{number}.png", "caption": f"cat {number} {text}"}
        for number in range(num_images)
        for text in ("one", "two")
    ]
    write_table(str(folder), "pairs.parquet", pa.Table.from_pylist(rows))
    settings = PIPELINE.format(root=folder / "run", folder=folder, host=HOST, address=web.address)
    (folder / "pipelines.yaml").write_text(settings)


def openalign(folder: Path, verb: str, *options: str) -> int:
    """Run a command; return its exit code."""
    return cli.main([verb, "pairs", "--config", f"{folder}/pipelines.yaml", *options])
