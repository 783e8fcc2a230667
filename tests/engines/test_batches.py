import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openalign.engines import jobs
from openalign.engines.batches import (
    ReadTables,
    SortIntoFiles,
    read_batches,
)
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs, run_jobs
from openalign.engines.parts import Part, WriteSummary, read_summary
from openalign.engines.runners import run_job
from openalign.errors import StageError
from openalign.files import storage
from openalign.files.manifest import StageResult
from openalign.files.tables import write_table

SCHEMA = pa.schema([("key", pa.string()), ("size", pa.int64())])
ROWS = [{"key": f"{n:04d}", "size": n % 7} for n in range(500)]


def run(folder: Path, tables: Sequence[list[dict[str, object]]], flags: Sequence[str] = ()) -> None:
    urls = []
    for number, rows in enumerate(tables):
        name = f"in-{number}.parquet"
        write_table(str(folder), name, pa.Table.from_pylist(rows, schema=SCHEMA))
        urls.append(str(folder / name))
    out = str(folder / "out")

    def build(pipeline: beam.Pipeline) -> None:
        parts = pipeline | ReadTables(urls) | SortIntoFiles(out, "rows-", SCHEMA, 3)
        _ = parts | WriteSummary(storage.join(out, "summary"))

    run_job(build, flags)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


def test_the_summary_lists_each_file_with_its_rows(tmp_path: Path) -> None:
    run(tmp_path, [ROWS])

    summary = read_summary(str(tmp_path / "out" / "summary"))

    assert [f.name for f in summary.files] == [
        "rows-00000-of-00003.parquet",
        "rows-00001-of-00003.parquet",
        "rows-00002-of-00003.parquet",
    ]
    assert sum(f.num_rows for f in summary.files) == 500
    for entry in summary.files:
        assert storage.sha256_of(str(tmp_path / "out" / entry.name)) == entry.sha256


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["--direct_runner_bundle_repeat=2"], id="each bundle twice"),
        pytest.param(
            ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
            id="two processes",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_bytes_do_not_depend_on_order_partition_or_runner(tmp_path: Path, flags: list[str]) -> None:
    shuffled = random.Random(1).sample(ROWS, len(ROWS))

    run(tmp_path / "a", [ROWS])
    run(tmp_path / "b", [shuffled[:100], shuffled[100:130], shuffled[130:]], flags)

    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_columns_that_a_file_does_not_have_yet_are_null(tmp_path: Path) -> None:
    pq.write_table(pa.table({"b": [1], "more": [2], "a": ["x"]}), tmp_path / "old.parquet")
    schema = pa.schema([("a", pa.string()), ("new", pa.string()), ("b", pa.int64())])

    [batch] = read_batches(str(tmp_path / "old.parquet"), schema=schema)

    assert batch.to_pylist() == [{"a": "x", "new": None, "b": 1}]
    assert batch.schema.equals(schema)


def test_a_job_without_rows_has_an_empty_summary(tmp_path: Path) -> None:
    run(tmp_path, [[]])

    summary = read_summary(str(tmp_path / "out" / "summary"))

    assert (summary.files, dict(summary.counts), summary.raw_notes) == ([], {}, [])


def declared() -> Jobs:
    def build(pipeline: beam.Pipeline, _: Attempt) -> Any:
        line = Part(counts={"a": 2}).to_json()
        return pipeline | beam.Create([line]) | beam.Map(str)

    def collect(ended: EndedJob) -> StageResult:
        counts = ended.summary.counts
        return StageResult(num_inputs=counts["a"], states=counts, num_outputs=1, files=[])

    return Jobs(jobs=[Job(name="one", build=build)], collect=collect)


def test_an_earlier_attempts_summary_does_not_pass_for_a_jobs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(tmp_path / "one.jsonl")
    storage.write_text(url, Part(counts={"a": 1}).to_json() + "\n")
    monkeypatch.setattr(jobs, "run_job", lambda *_: True)  # a job whose workers write elsewhere

    with pytest.raises(StageError, match=f"its summary {url} cannot be seen from here"):
        run_jobs(declared(), work=str(tmp_path))


def test_counts_of_parts_add_up(tmp_path: Path) -> None:
    url = str(tmp_path / "summary")
    storage.write_text(
        url,
        Part(counts={"a": 1, "b": 2}).to_json() + "\n" + Part(counts={"a": 3}).to_json() + "\n",
    )

    assert read_summary(url).counts == {"a": 4, "b": 2}
