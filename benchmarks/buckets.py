"""Rows cut by bucket for a shuffle, and gathered behind it: many buckets against few.

    .venv/bin/python benchmarks/buckets.py                 800,000 candidates, a minute
    .venv/bin/python benchmarks/buckets.py --rows 100000   a quick look

`key` is the cut of `harvest` and `select` into files, `host` that of `fetch` into buckets of
hosts. Without a runner: batches are cut as a worker cuts them, and each bucket's pieces are read
and put together as the next worker does. The slow way takes one filter over a batch for each
bucket. Figures are rows per second of CPU time on one core, the median of 5, and in brackets the
ratio to 64 buckets.
"""

import argparse
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

NUM_BUCKETS = (16, 64, 1024, 4096)
NUM_HOSTS = 20_000
BATCH_ROWS = 65_536
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=800_000)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    import polars as pl

    from openalign.engines.buckets import hash_buckets
    from openalign.ingest.fetching.work_plan import cells_of

    batches = list(candidates(options.rows))
    key = partial(hash_buckets, by="key")

    def host(batch: Any, *, num_buckets: int) -> Any:
        return cells_of(pl.Series(batch.column("image_url")), by_host=True) % num_buckets

    print(f"| | {' | '.join(f'{n:,} buckets' for n in NUM_BUCKETS)} |")
    print("|---" * (len(NUM_BUCKETS) + 1) + "|")
    for name, of, cut in (
        ("cut by key", key, held),
        ("cut by host", host, held),
        ("cut by key, slowly", key, slow),
    ):
        # The slow way is as slow for every batch.
        part = batches if cut is held else batches[:2]
        show(
            name,
            sum(batch.num_rows for batch in part),
            {n: partial(exhaust, cut, part, partial(of, num_buckets=n), n) for n in NUM_BUCKETS},
        )
    pieces = {n: list(held(batches, partial(key, num_buckets=n), n)) for n in NUM_BUCKETS}
    show("gathered", options.rows, {n: partial(gather, pieces[n], options.rows) for n in pieces})


def show(name: str, num_rows: int, works: dict[int, Callable[[], None]]) -> None:
    """Print a row: what each number of buckets takes."""
    seconds = {n: median_seconds(work) for n, work in works.items()}
    cells = (f"{num_rows / s:,.0f} ({seconds[64] / s:.2f})" for s in seconds.values())
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def candidates(num_rows: int) -> Iterator[Any]:
    """Yield batches of candidates of many hosts."""
    import polars as pl
    from candidates_made import as_candidates

    from openalign.files.hashing import hash64_expr

    numbers = pl.DataFrame({"n": range(num_rows)})
    host = (pl.col("n") * 7919 % NUM_HOSTS).cast(pl.String)
    url = pl.format("https://host{}.example/uploads/image-{}.jpg", host, "n")
    rows = numbers.select(
        key=hash64_expr(url).cast(pl.String),
        image_url=url,
        alt_text=pl.format("a red boat in the old harbour, number {}", "n"),
        page_url=pl.format("https://host{}.example/{}.html", host, pl.col("n") // 40),
        found_in=pl.lit("img_alt"),
        raw_image_url=pl.format("/uploads/image-{}.jpg", "n"),
        page_language=pl.lit("en"),
    )
    yield from as_candidates(rows).combine_chunks().to_batches(BATCH_ROWS)


def median_seconds(work: Callable[[], None]) -> float:
    """Return the CPU seconds that some work takes."""
    work()
    took: list[float] = []
    for _ in range(ROUNDS):
        before = time.process_time()
        work()
        took.append(time.process_time() - before)
    return statistics.median(took)


def held(
    batches: list[Any], buckets_of: Callable[[Any], Any], num_buckets: int
) -> Iterator[tuple[int, bytes]]:
    """Cut as `CutByBucket` does in a bundle of these batches."""
    from openalign.engines.buckets import BucketCutter

    cutter = BucketCutter(buckets_of, num_buckets)
    for batch in batches:
        yield from cutter.add(batch)
    yield from cutter.flush()


def slow(
    batches: list[Any], buckets_of: Callable[[Any], Any], num_buckets: int
) -> Iterator[tuple[int, bytes]]:
    """Cut each batch by one filter for each bucket."""
    import pyarrow as pa

    from openalign.engines.arrow_bytes import to_ipc

    for batch in batches:
        buckets = buckets_of(batch)
        for bucket in range(num_buckets):
            rows = batch.filter(pa.array(buckets == bucket))
            if rows.num_rows:
                yield bucket, to_ipc(rows)


def exhaust(cut: Any, batches: list[Any], buckets_of: Any, num_buckets: int) -> None:
    """Make every piece of a cut."""
    for _ in cut(batches, buckets_of, num_buckets):
        pass


def gather(pieces: list[tuple[int, bytes]], num_rows: int) -> None:
    """Read the pieces of each bucket and put them together."""
    from openalign.engines.arrow_bytes import gathered

    by_bucket: dict[int, list[bytes]] = defaultdict(list)
    for bucket, piece in pieces:
        by_bucket[bucket].append(piece)
    assert sum(gathered(own).height for own in by_bucket.values()) == num_rows


if __name__ == "__main__":
    main()
