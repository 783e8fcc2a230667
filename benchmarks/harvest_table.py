"""Rows a second on one core: the harvest of a table of URLs against a plain loop over its rows.

    .venv/bin/python benchmarks/harvest_table.py                 500,000 rows
    .venv/bin/python benchmarks/harvest_table.py --rows 100000   a quick look

The table is a generated Parquet file of addresses and captions. One address in twenty needs the
parser: upper case in the host, a space, or no path. Three contestants, each in a process of its own
on one core:

    loop    reads the table row by row, makes each URL canonical, collapses white space and hashes
            the key; keeps the rows in memory
    read    our reading, which makes the same rows, as batches
    whole   the harvest stage: the same, duplicates collapsed, sorted into 16 files

All must find the same keys before a rate is printed. Rates are per second of CPU time.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

NUM_FILES = 16


def generate(path: Path, num_rows: int) -> None:
    rng = np.random.default_rng(0)
    hosts = [f"img{number}.site-{number % 997}.example" for number in range(5000)]
    words = np.array([f"word{number}" for number in range(20_000)])
    host = rng.integers(0, len(hosts), num_rows)
    photo = rng.integers(0, 1 << 40, num_rows)
    urls = [
        f"https://{hosts[h]}/photos/{p:x}/large_{p % 1000}.jpg?w={p % 4000}"
        for h, p in zip(host, photo, strict=True)
    ]
    for place in range(0, num_rows, 20):
        odd = (
            urls[place].replace("img", "IMG", 1),
            f"{urls[place]} 1",
            f"http://{hosts[place % 9]}",
        )
        urls[place] = odd[place // 20 % 3]
    captions = [" ".join(words[rng.integers(0, len(words), 9)]) for _ in range(num_rows)]
    pl.DataFrame({"url": urls, "caption": captions}).write_parquet(path)


def loop(table: Path) -> list[str]:
    from openalign.files.hashing import candidate_key
    from openalign.ingest.web.urls import canonical_url

    rows: list[tuple[str, str, str]] = []
    for row in pl.read_parquet(table).iter_rows(named=True):
        url, text = canonical_url(row["url"].strip()), " ".join(row["caption"].split())
        if url is not None and text:
            rows.append((candidate_key(url, text), url, text))
    return [key for key, _, _ in rows]


def read(table: Path) -> list[str]:
    from openalign.ingest.sources.table import TableSource
    from openalign.ingest.sources.url_tables.table_reading import read_candidates

    keys: list[str] = []
    for piece in read_candidates(str(table), source=TableSource(path=str(table))):
        keys += piece.candidates.column("key").to_pylist()
    return keys


def whole(table: Path) -> list[str]:
    from openalign.engines.jobs import run_jobs
    from openalign.ingest import harvest
    from openalign.ingest.config import HarvestConfig
    from openalign.ingest.sources.table import TableSource
    from openalign.ingest.web.config import WebConfig

    with tempfile.TemporaryDirectory() as folder:
        output, work = f"{folder}/output", f"{folder}/work"
        config = HarvestConfig(source=TableSource(path=str(table)), num_files=NUM_FILES)
        run_jobs(harvest.jobs(config, web=WebConfig(), output=output, work=work), work=work)
        return pl.read_parquet(f"{output}/*.parquet", columns=["key"])["key"].to_list()


CONTESTANTS = {"loop": loop, "read": read, "whole": whole}


def child(contestant: str, table: Path) -> None:
    import apache_beam  # noqa: F401  # imports are not timed

    import openalign.ingest.harvest  # noqa: F401

    started = time.process_time()
    keys = CONTESTANTS[contestant](table)
    spent = time.process_time() - started
    print(json.dumps({"keys": digest(keys), "num_rows": len(keys), "cpu": spent}))


def digest(keys: Iterable[str]) -> str:
    return hashlib.sha256("".join(sorted(set(keys))).encode()).hexdigest()


def one_run(contestant: str, table: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", contestant, str(table)]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each; the median counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openalign-benchmark-") as folder:
        table = Path(folder) / "table.parquet"
        generate(table, options.rows)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
        for _ in range(options.repeat):  # in turns, so that other work slows all alike
            for name, of_name in runs.items():
                of_name.append(one_run(name, table))
    assert len({run["keys"] for of_name in runs.values() for run in of_name}) == 1, "keys differ"
    seconds = {
        name: statistics.median(run["cpu"] for run in of_name) for name, of_name in runs.items()
    }
    print(f"{options.rows:,} rows; one core; the median of {options.repeat}")
    for name, cpu in seconds.items():
        ratio = seconds["loop"] / cpu
        print(f"{name:6}{options.rows / cpu:>12,.0f} rows/s  {cpu:.2f} s CPU  {ratio:.2f} x loop")


if __name__ == "__main__":
    main()
