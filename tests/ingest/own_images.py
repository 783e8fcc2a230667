"""What the tests of a user's own images share: images, tars as others write them, a pipeline."""

import hashlib
import io
import json
import tarfile
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from openalign import cli
from openalign.files.locators import url_of_bytes
from openalign.ingest.candidates import Harvested
from openalign.ingest.sources.own_images.tars_reading import read_tar, tar_names
from openalign.ingest.sources.tars import TarsSource, check

_PIPELINE = """\
own:
  description: "images that are there already"
  root: {root}
  harvest:
    source: {source}
    num_files: 2
  filter:
    text: {{frequent: {{kind: min_count, at_least: 1}}}}
    count_buckets: 4
  fetch:
    size_px: 210
    images_per_shard: 5
    num_buckets: 2
  select:
    near_duplicates: {{method: exact}}
    num_files: 2
    count_buckets: 4
"""


def image_bytes(number: int, kind: str = "JPEG", size: tuple[int, int] = (220, 210)) -> bytes:
    """Return an image whose gray field tells it from others."""
    pixels = np.full((size[1], size[0], 3), 30 + 5 * number, dtype=np.uint8)
    pixels[: size[1] // 2, : 20 + 10 * number % size[0]] = (250, 20, 9 * number % 256)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind)
    return sink.getvalue()


def ni(content: bytes) -> str:
    return url_of_bytes(hashlib.sha256(content).hexdigest())


def write_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_three_samples(path: Path) -> bytes:
    """Write a tar of three images with texts; return its bytes."""
    members = [
        member
        for number in range(3)
        for member in (
            (f"{number}.jpg", image_bytes(number)),
            (f"{number}.txt", b"%d is it" % number),
        )
    ]
    write_tar(path, members)
    return path.read_bytes()


def read_tars(path: Path | str, **changes: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the candidates of tars and the counts of all pairs."""
    source = TarsSource(path=str(path), **changes)
    check(source)
    pieces = [piece for name in tar_names(source) for piece in read_tar(name, source=source)]
    return rows_of(pieces), states_of(pieces)


def write_img2dataset(folder: Path, shard: int, numbers: Sequence[int]) -> None:
    """Write a shard as img2dataset 1.47 does: tar, Parquet and statistics.

    The first row of the Parquet file is one that could not be downloaded.
    """
    rows: list[dict[str, Any]] = [
        _row(f"{shard:05d}9999", "http://gone.example/x.jpg", "gone", status="failed_to_download")
    ]
    members: list[tuple[str, bytes]] = []
    for number in numbers:
        key = f"{shard:05d}{number:04d}"
        row = _row(key, f"http://pictures.example/{number}.jpg", f"a red bar number {number}")
        rows.append(row)
        members += [
            (f"{key}.jpg", image_bytes(number)),
            (f"{key}.json", json.dumps(row, indent=4).encode()),
            (f"{key}.txt", str(row["caption"]).encode()),
        ]
    write_tar(folder / f"{shard:05d}.tar", members)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{shard:05d}.parquet")
    stats = {"count": len(rows), "successes": len(numbers), "failed_to_download": 1}
    (folder / f"{shard:05d}_stats.json").write_text(json.dumps(stats))


def _row(key: str, url: str, caption: str, status: str = "success") -> dict[str, Any]:
    return {
        "url": url,
        "caption": caption,
        "similarity": 0.25 + int(key[-2:]) / 100,
        "LANGUAGE": "en" if int(key) % 2 else "de-DE",
        "key": key,
        "status": status,
        "error_message": None if status == "success" else "HTTP Error 404: Not Found",
        "width": 220,
        "height": 210,
        "original_width": 440,
        "original_height": 420,
        "exif": "{}",
        "sha256": hashlib.sha256(url.encode()).hexdigest(),  # of the file before it was resized
    }


def rows_of(pieces: Sequence[Harvested]) -> list[dict[str, Any]]:
    """Return the candidates of pieces, in the order of their texts."""
    tables = [pl.DataFrame(piece.candidates) for piece in pieces]
    return pl.concat(tables).sort("alt_text", "locator").to_dicts() if tables else []


def states_of(pieces: Sequence[Harvested]) -> dict[str, int]:
    """Return the counts of pieces, as strings."""
    counts = sum((piece.counts for piece in pieces), Counter[str]())
    return {str(name): number for name, number in counts.items()}


def write_pipeline(
    folder: Path, source: Mapping[str, Any], *, root: str = "run", **sections: Any
) -> Path:
    """Write `pipelines.yaml` with the pipeline `own`; return its path."""
    path = folder / "pipelines.yaml"
    text = _PIPELINE.format(root=folder / root, source=json.dumps(dict(source)))
    more = yaml.safe_dump(sections) if sections else ""
    path.write_text(text + textwrap.indent(more, "  "))
    return path


def run_verb(verb: str, pipelines: Path, *words: str) -> int:
    return cli.main([verb, "own", "--config", str(pipelines), *words])


def data_files(root: Path, folders: Sequence[str]) -> dict[str, bytes]:
    """Return the data files of stages by name; manifests, which name places, are left out."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in folders
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
