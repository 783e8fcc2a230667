r"""Captions a second on one core: the filter stage against duckdb, polars and per-row Beam.

    .venv/bin/python benchmarks/filter.py                  2,000,000 captions, some minutes
    .venv/bin/python benchmarks/filter.py --rows 200000    a quick look

Every engine gets the same generated corpus (ASCII, Zipf words) in the same Parquet files, cuts it
into the same words (lower case, `\w+`), and does the same work,
in a process of its own on one core:

    count   the n-grams seen at least 3 times, the alt-texts on more than 10 images, the images
            with more than 1,000 alt-texts
    whole   the same, then every row judged and written to kept and rejected files: ours sorted by
            key, as the input is, the others' in any order

The engines must agree on every number before a rate is printed. Rates are per second of CPU time:
wall time says little on shared cores. Per-row Beam runs on a part of the corpus, for a rate.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from filter_engines import ENGINES, Answer

NUM_FILES = 16


# The corpus ---------------------------------------------------------------------------------------


def generate(folder: Path, num_rows: int) -> None:
    """Write Zipf captions: two in five rows are among 200,000 texts, as on the web."""
    import numpy as np
    import polars as pl
    import xxhash
    from candidates_made import as_candidates

    from openalign.files.tables import write_table

    rng = np.random.default_rng(1)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", "S1").astype(str)
    words = np.array(["".join(rng.choice(letters, n)) for n in rng.integers(2, 11, 500_000)])
    share = 1 / np.arange(1, len(words) + 1) ** 1.05
    cumulative = np.cumsum(share / share.sum())

    def texts(number: int) -> np.ndarray:
        lengths = np.clip(rng.poisson(12, number), 1, None)
        picked = words[
            np.searchsorted(cumulative, rng.random(lengths.sum())).clip(0, len(words) - 1)
        ]
        ends = np.cumsum(lengths)
        return np.array(
            [" ".join(picked[e - n : e]) for e, n in zip(ends, lengths, strict=True)], object
        )

    shared = texts(num_rows // 10)
    for number in range(NUM_FILES):
        part = num_rows // NUM_FILES
        own = texts(part)
        again = rng.random(part) < 0.4
        ranks = np.minimum(rng.zipf(1.2, part), len(shared)) - 1
        alt_texts = np.where(again, shared[ranks], own)
        images = rng.integers(0, num_rows * 9 // 10, part)
        images[rng.random(part) < 0.002] = 0  # a placeholder image with many alt-texts
        urls = [f"http://host{i % 5000}.example/images/{i:09d}.jpg" for i in images]
        rows = pl.DataFrame(
            {
                "key": [
                    xxhash.xxh3_128_hexdigest(f"{u}\0{a}".encode())
                    for u, a in zip(urls, alt_texts, strict=True)
                ],
                "image_url": urls,
                "alt_text": alt_texts.astype(str),
                "page_url": [f"http://pages{i % 999}.example/{i}" for i in images],
                "found_in": ["img_alt"] * part,
                "raw_image_url": urls,
                "page_language": ["en"] * part,
            }
        ).unique("key")
        name = f"candidates-{number:05d}.parquet"
        write_table(str(folder), name, as_candidates(rows.sort("key")))


# The race -----------------------------------------------------------------------------------------


def one_run(engine: str, phase: str, files: list[str]) -> dict[str, Any]:
    """Run one engine in a process of its own; imports and start-up are not timed."""
    command = [sys.executable, __file__, "--engine", engine, "--phase", phase, "--files", *files]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def child(engine: str, phase: str, files: list[str]) -> None:
    import resource

    import apache_beam  # noqa: F401
    import duckdb  # noqa: F401
    import polars  # noqa: F401, ICN001

    import openalign.filtering.text_filter  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        cpu, wall = time.process_time(), time.monotonic()
        answer = ENGINES[engine](phase, files, Path(folder))
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"answer": answer, "cpu": cpu, "wall": wall, "peak_mib": peak_mib}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument(
        "--repeat", type=int, default=2, help="runs of each engine; the best counts"
    )
    parser.add_argument("--corpus", type=Path, help="a folder to keep the corpus in")
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--engines", nargs="*", default=list(ENGINES))
    parser.add_argument("--phase")
    parser.add_argument("--files", nargs="*")
    options = parser.parse_args()
    if options.engine:
        child(options.engine, options.phase, options.files)
        return
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    folder = options.corpus or Path(tempfile.mkdtemp(prefix="openalign-benchmark-"))
    folder.mkdir(exist_ok=True)
    try:
        if not list(folder.iterdir()):
            generate(folder, options.rows)
        race(sorted(map(str, folder.iterdir())), options.repeat, options.engines)
    finally:
        if options.corpus is None:
            shutil.rmtree(folder)


def race(files: list[str], repeat: int, engines: list[str]) -> None:
    import pyarrow.parquet as pq

    num_rows = {file: pq.read_metadata(file).num_rows for file in files}
    print(f"{sum(num_rows.values()):,} captions; one core; rates are captions per CPU second\n")
    for phase in ("count", "whole"):
        rates: dict[str, float] = {}
        answers: dict[str, Answer] = {}
        for engine in engines:
            of_part = engine == "per_row"
            some = files[:1] if of_part else files
            runs = [one_run(engine, phase, some) for _ in range(1 if of_part else repeat)]
            best = min(runs, key=lambda run: run["cpu"])
            rates[engine] = sum(num_rows[file] for file in some) / best["cpu"]
            answers[engine] = {k: v for k, v in best["answer"].items() if v}
            print(
                f"{phase:6}{engine:9}{rates[engine]:>11,.0f}/s  {best['cpu']:6.2f} s CPU"
                f"  {best['wall']:6.2f} s wall  {best['peak_mib']:,} MiB"
                + (f"  ({num_rows[files[0]]:,} captions)" if of_part else ""),
                flush=True,
            )
        if "per_row" in answers:
            part = one_run("ours", phase, files[:1])["answer"]
            assert answers.pop("per_row").items() <= part.items(), "per-row Beam disagrees"
        assert all(a == answers["ours"] for a in answers.values()), answers
        print(f"{phase:6}all agree: {answers['ours']}")
        ratios = (f"{rates['ours'] / rates[e]:.2f} x {e}" for e in engines if e != "ours")
        print(f"{phase:6}ours is " + ", ".join(ratios) + "\n", flush=True)


if __name__ == "__main__":
    main()
