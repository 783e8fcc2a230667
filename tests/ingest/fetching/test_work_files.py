"""Candidates cut for the workers: each in one range of one bucket, read back in order."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from fetches import row

from openalign.engines import buckets
from openalign.engines.batches import ReadTables
from openalign.engines.jobs import Attempt, Job, Jobs, run_jobs
from openalign.files.hashing import hash64, image_key
from openalign.files.manifest import StageResult
from openalign.files.schemas import CANDIDATE
from openalign.files.tables import write_table
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching import work_plan
from openalign.ingest.fetching.bucket import FetchBucket
from openalign.ingest.fetching.setup import FetchSetup
from openalign.ingest.fetching.work_files import CutIntoFiles, WorkFiles, cut_by_count
from openalign.ingest.fetching.work_plan import (
    NUM_CELLS,
    WorkPlan,
    count_cells,
    plan_work,
    read_plan,
    write_plan,
)
from openalign.ingest.web.config import HostConfig, WebConfig

NUM_BUCKETS = 3
WEB = WebConfig(connections_per_host=4)


def rows_of(num_hosts: int, num_images: int, num_texts: int = 2) -> list[dict[str, Any]]:
    return [
        row(f"http://h{host}.example/{number}.png", f"cat {text}")
        for host in range(num_hosts)
        for number in range(num_images)
        for text in range(num_texts)
    ]


def batch_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=CANDIDATE)


def plan_of(rows: list[dict[str, Any]], *, web: WebConfig | None = WEB, **changes: Any) -> WorkPlan:
    settings: dict[str, Any] = {"num_buckets": NUM_BUCKETS, "large_host": 1000} | changes
    counts = count_cells(batch_of(rows), by_host=web is not None)
    return plan_work(counts, web=web, **settings)


def ranges_of(plan: WorkPlan, rows: list[dict[str, Any]]) -> list[int]:
    frame = work_plan.with_image_keys(batch_of(rows))
    return plan.ranges_of(frame).tolist()


def bucket_of(plan: WorkPlan, number: int) -> int:
    return int(np.searchsorted(plan.first_ranges, number, side="right")) - 1


# The plan -----------------------------------------------------------------------------------------


def test_all_images_of_a_host_are_in_one_bucket() -> None:
    rows = rows_of(40, 5)
    plan = plan_of(rows)
    buckets = [bucket_of(plan, number) for number in ranges_of(plan, rows)]

    of_host: dict[str, set[int]] = {}
    for candidate, bucket in zip(rows, buckets, strict=True):
        of_host.setdefault(candidate["image_url"].split("/")[2], set()).add(bucket)

    assert len(of_host) == 40
    assert all(len(found) == 1 for found in of_host.values())
    # The hash's upper 63 bits give the cell, and the cell the bucket.
    assert of_host == {host: {hash64(host) // 2 % NUM_CELLS % NUM_BUCKETS} for host in of_host}


def test_a_large_host_is_shared_among_as_many_buckets_as_it_has_owners() -> None:
    large, small = rows_of(1, 300), rows_of(2, 5)[10:]
    plan = plan_of([*large, *small], large_host=250, num_buckets=8)

    in_buckets = Counter(bucket_of(plan, number) for number in ranges_of(plan, large))

    # 600 candidates, 250 at most for each owner.
    assert plan.owners_of("h0.example") == 3
    assert plan.owners_of("h1.example") == plan.owners_of("other.example") == 1
    assert len(in_buckets) == 3
    assert all(150 < number < 250 for number in in_buckets.values())
    by_image: dict[str, set[int]] = {}
    for candidate, number in zip(large, ranges_of(plan, large), strict=True):
        by_image.setdefault(candidate["image_url"], set()).add(number)
    assert all(len(found) == 1 for found in by_image.values())


@pytest.mark.parametrize(("num_buckets", "max_owners", "owners"), [(2, 9, 2), (8, 4, 4), (8, 1, 1)])
def test_owners_are_bounded_by_buckets_and_connections(
    num_buckets: int, max_owners: int, owners: int
) -> None:
    web = WebConfig(connections_per_host=max_owners)
    plan = plan_of(rows_of(1, 100), large_host=10, num_buckets=num_buckets, web=web)

    assert plan.owners_of("h0.example") == owners


def test_the_owners_of_a_host_are_at_most_its_connections() -> None:
    rows = [*rows_of(1, 100), *(row(f"http://cdn.b.example/{n}", "cat") for n in range(200))]
    hosts = {
        "*.b.example": HostConfig(connections_per_host=12),
        "h0.example": HostConfig(connections_per_host=1),
    }
    plan = plan_of(rows, large_host=10, num_buckets=16, web=WebConfig(hosts=hosts))

    # 200 candidates each: 20 owners, if they had as many connections.
    assert plan.owners_of("h0.example") == 1
    assert plan.owners_of("cdn.b.example") == 12
    buckets = [bucket_of(plan, number) for number in ranges_of(plan, rows)]
    assert len(set(buckets[:200])) == 1
    assert len(set(buckets[200:])) == 12


def test_a_host_has_the_connections_of_the_most_specific_name_that_says_them() -> None:
    hosts = {
        "*.example": HostConfig(connections_per_host=1),
        "h0.example": HostConfig(requests_per_second=2.0),
    }
    plan = plan_of(rows_of(1, 100), large_host=10, num_buckets=16, web=WebConfig(hosts=hosts))

    assert plan.owners_of("h0.example") == 1


@pytest.mark.parametrize(
    ("most_workers", "share"), [(None, 4), (1, 1), (2, 2), (9, 4)], ids=["cluster", "1", "2", "9"]
)
def test_a_host_is_shared_by_those_who_can_ask_it_at_one_time(
    tmp_path: Path, most_workers: int | None, share: int
) -> None:
    setup = FetchSetup(
        config=FetchConfig(),
        images_from=WEB,
        output=str(tmp_path),
        work=str(tmp_path),
        most_workers=most_workers,
    )
    plan = plan_of(rows_of(1, 100), large_host=10, num_buckets=16)
    write_plan(setup.plan_url, plan)
    fetching = FetchBucket(setup=setup, attempt=Attempt(str(tmp_path / "attempt")))

    assert plan.owners_of("h0.example") == 4
    assert fetching.owners_of("h0.example") == share
    assert fetching.owners_of("small.example") == 1


def test_images_that_are_on_no_web_are_spread_one_by_one() -> None:
    rows = rows_of(1, 300)
    plan = plan_of(rows, web=None, large_host=1)

    in_buckets = Counter(bucket_of(plan, number) for number in ranges_of(plan, rows))

    assert set(in_buckets) == {0, 1, 2}
    assert plan.num_owners == {}


def test_a_bucket_has_a_range_for_so_many_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_plan, "RANGE_ROWS", 100)
    rows = rows_of(1, 205)  # 410 candidates
    plan = plan_of(rows)
    numbers = ranges_of(plan, rows)

    assert sorted(plan.num_ranges) == [1, 1, 5]
    assert len(set(numbers)) == 5
    assert max(Counter(numbers).values()) < 140
    keys = [image_key(candidate["image_url"]) for candidate in rows]
    in_order = [number for _, number in sorted(zip(keys, numbers, strict=True))]
    assert in_order == sorted(in_order)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = plan_of(rows_of(1, 300), large_host=250, num_buckets=8)
    write_plan(str(tmp_path / "plan.json"), plan)

    assert read_plan(str(tmp_path / "plan.json")) == plan


# The files ----------------------------------------------------------------------------------------


def written(rows: list[dict[str, Any]], plan: WorkPlan, folder: Path) -> None:
    """Cut candidates into work files, as the stage does."""
    write_plan(str(folder / "plan.json"), plan)
    for number in range(2):
        table = pa.Table.from_pylist(rows[number::2], schema=CANDIDATE)
        write_table(str(folder), f"kept-{number}.parquet", table)
    urls = [str(folder / f"kept-{number}.parquet") for number in range(2)]

    def build(pipeline: beam.Pipeline, _: Any) -> Any:
        cut = CutIntoFiles(plan_url=str(folder / "plan.json"), folder=str(folder))
        return pipeline | ReadTables(urls, schema=CANDIDATE) | cut

    nothing = StageResult(num_inputs=0, states={}, num_outputs=0, files=[])
    jobs = Jobs(jobs=[Job(name="cut", build=build)], collect=lambda _: nothing)
    run_jobs(jobs, work=str(folder))


def read(plan: WorkPlan, folder: Path, bucket: int) -> Iterator[pl.DataFrame]:
    summary_url = str(folder / "cut.jsonl")
    return WorkFiles(str(folder), summary_url=summary_url, plan=plan, bucket=bucket).sorted_ranges()


@pytest.mark.parametrize("large_host", [40, 10_000])
@pytest.mark.parametrize("held_bytes", [1, 20_000, 1 << 27])
def test_each_bucket_has_its_rows_in_order_whoever_wrote_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_bytes: int, large_host: int
) -> None:
    monkeypatch.setattr(work_plan, "RANGE_ROWS", 50)
    monkeypatch.setattr(buckets, "MAX_HELD_BYTES", held_bytes)
    rows = rows_of(7, 20)
    random.Random(0).shuffle(rows)
    plan = plan_of(rows, large_host=large_host)
    written(rows, plan, tmp_path)
    numbers = ranges_of(plan, rows)

    for bucket in range(NUM_BUCKETS):
        found = [key for frame in read(plan, tmp_path, bucket) for key in frame["key"]]

        # The slow and obvious way.
        mine = [
            c for c, number in zip(rows, numbers, strict=True) if bucket_of(plan, number) == bucket
        ]
        mine.sort(key=lambda candidate: (image_key(candidate["image_url"]), candidate["key"]))
        assert found == [candidate["key"] for candidate in mine]


def test_rows_come_back_whole(tmp_path: Path) -> None:
    rows = rows_of(1, 3)
    plan = plan_of(rows, num_buckets=1)
    written(rows, plan, tmp_path)

    [frame] = read(plan, tmp_path, 0)

    expected = pl.DataFrame(batch_of(rows)).sort("key")
    assert frame.drop("image_key").sort("key").equals(expected)


# Shards -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("images_per_shard", [1, 2, 7, 100])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_shard_holds_so_many_whole_images_and_only_the_last_holds_fewer(
    seed: int, images_per_shard: int
) -> None:
    draw = random.Random(seed)
    pairs = {(draw.randrange(30), draw.randrange(5)) for _ in range(60 * seed)}
    rows = [row(f"http://h.example/{number}", str(text)) for number, text in pairs]
    whole = work_plan.with_image_keys(batch_of(rows)).sort("image_key", "key")
    borders = sorted(draw.sample(sorted(set(whole["image_key"])), min(4, 2 * seed)))
    # Frames end between images, wherever that is.
    frames = [
        whole.filter((pl.col("image_key") >= first) & (pl.col("image_key") < end))
        for first, end in zip(["", *borders], [*borders, "g"], strict=True)
    ]

    shards = list(cut_by_count(iter(frames), images_per_shard))

    images = [shard["image_url"].unique(maintain_order=True).to_list() for shard in shards]
    in_order = sorted({r["image_url"] for r in rows}, key=image_key)
    assert [url for part in images for url in part] == in_order
    assert all(len(part) == images_per_shard for part in images[:-1])
    assert all(0 < len(part) <= images_per_shard for part in images[-1:])
    joined = pl.concat([whole[:0], *shards])
    assert joined.equals(whole)
