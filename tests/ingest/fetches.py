"""What the tests of the fetch stage share: images, candidates, and a run of the stage."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
from faulty_web import SITE, Reply, Web
from PIL import Image

from openalign.engines.jobs import run_jobs
from openalign.files import storage
from openalign.files.hashing import candidate_key
from openalign.files.manifest import StageResult
from openalign.files.removals import NO_REMOVALS, Removals
from openalign.files.schemas import CANDIDATE
from openalign.files.states import FetchState
from openalign.files.tables import write_table
from openalign.ingest import fetch
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching.setup import FetchSetup, HeaderRule

PNG = [("Content-Type", "image/png")]
OTHER = "http://other.example"
THIRD = "http://third.example"


def image_file(number: int, size: tuple[int, int] = (60, 40)) -> bytes:
    sink = io.BytesIO()
    color = (number * 37 % 256, number * 91 % 256, number * 53 % 256)
    Image.new("RGB", size, color).save(sink, "PNG")
    return sink.getvalue()


def image(number: int, size: tuple[int, int] = (60, 40), **changes: Any) -> Reply:
    return Reply(body=image_file(number, size), headers=PNG, **changes)


def row(url: str, text: str) -> dict[str, Any]:
    return {
        "key": candidate_key(url, text),
        "image_url": url,
        "alt_text": text,
        "page_url": f"{SITE}/",
        "found_in": "img_alt",
        "raw_image_url": url,
        "page_language": "en",
    }


def rows_of(sites: Sequence[str], num_images: int) -> list[dict[str, Any]]:
    """Return candidates: every image under one text, every third under three."""
    return [
        row(f"{site}/{n}.png", text)
        for site in sites
        for n in range(num_images)
        for text in ([f"cat {n}", f"Felix {n}", f"größe {n}"] if n % 3 == 0 else [f"cat {n}"])
    ]


def make_rule() -> HeaderRule:
    """Return a rule that a worker process can be sent: by value, since it cannot import tests."""

    def rule(width_px: int, height_px: int) -> FetchState | None:
        if min(width_px, height_px) < 20:
            return FetchState.SHORT_SIDE
        return FetchState.ASPECT_RATIO if width_px > 3 * height_px else None

    return rule


def config_of(web: Web, /, **changes: Any) -> FetchConfig:
    settings: dict[str, Any] = {
        "web": web.download(num_retries=0),
        "size_px": 20,
        "images_per_shard": 7,
        "num_buckets": 3,
    }
    return FetchConfig(**(settings | changes))


def run(
    config: FetchConfig,
    rows: Sequence[dict[str, Any]],
    folder: Path,
    options: Sequence[str] = (),
    rule: HeaderRule | None = None,
    *,
    removals: Removals = NO_REMOVALS,
) -> StageResult:
    """Run the stage; a second run in a folder finds what a job left that did not end."""
    work = str(folder / "work")
    storage.remove(f"{work}/fetched.done")
    kept = folder.parent / f"{folder.name}-kept"
    urls = []
    for number in range(2):
        table = pa.Table.from_pylist(list(rows[number::2]), schema=CANDIDATE)
        write_table(str(kept), f"kept-{number}.parquet", table)
        urls.append(str(kept / f"kept-{number}.parquet"))
    setup = FetchSetup(
        config=config, images_from=config.web, header_rule=rule, output=str(folder), work=work
    )
    jobs = fetch.jobs(setup, kept=urls, removals=removals)
    return run_jobs(jobs, work=work, beam_options=options)


def ledger_of(folder: Path) -> pl.DataFrame:
    return duckdb.sql(f"from '{folder}/ledger-*.parquet' order by key").pl()  # pyright: ignore[reportOptionalMemberAccess]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".tmp-")
    }
