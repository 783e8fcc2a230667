"""A toy stage: it measures the alt-texts that harvest found."""

# [stage]
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from typing import Any

import apache_beam as beam

from openalign.engines.batches import Paths, read_batches
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs
from openalign.engines.parts import Note, Part
from openalign.files import storage
from openalign.files.facts import Facts
from openalign.files.manifest import DataFile, StageResult
from openalign.files.names import CANDIDATES
from openalign.run.stages import Stage, Task


class LengthState(StrEnum):
    """How a candidate ends here."""

    COUNTED = "counted"


class LengthNote(Note, frozen=True, kw_only=True):
    """What a worker tells of one file of candidates."""

    longest: int


class LengthFacts(Facts, frozen=True, kw_only=True):
    """What the manifest keeps."""

    longest: int


def jobs(task: Task) -> Jobs:
    """Declare one job: a graph of Parts, and the result that they add up to."""
    urls = task.run.urls("harvest", CANDIDATES)

    def build(pipeline: beam.Pipeline, _: Attempt) -> Any:
        measure = beam.FlatMap(partial(_measure, output=task.output))
        return pipeline | Paths(urls) | measure.with_output_types(str)

    return Jobs(jobs=[Job(name="measured", build=build)], collect=_collect)


def _measure(url: str, *, output: str) -> Iterator[str]:
    """Write the lengths of one file's alt-texts, and tell of the file, its rows and the longest."""
    texts = [text for batch in read_batches(url) for text in batch.column("alt_text").to_pylist()]
    lengths = [len(text) for text in texts]
    name = f"{url.rpartition('/')[2].removesuffix('.parquet')}.txt"
    content = "".join(f"{length}\n" for length in lengths)
    file = DataFile.of(
        name, storage.write_text(storage.join(output, name), content), num_rows=len(lengths)
    )
    yield Part(
        files=[file],
        counts={LengthState.COUNTED: len(lengths)},
        notes=[LengthNote(longest=max(lengths, default=0))],
    ).to_json()


def _collect(measured: EndedJob) -> StageResult:
    counted = measured.summary.counts[LengthState.COUNTED]
    return StageResult(
        num_inputs=counted,
        states={LengthState.COUNTED: counted},
        num_outputs=counted,
        files=measured.summary.files,
        facts=LengthFacts(longest=max(n.longest for n in measured.summary.notes(LengthNote))),
    )


STAGE = Stage(
    name="lengths",
    title="measure alt-texts",
    folder="lengths",
    reads=("harvest",),
    settings=lambda _: {"version": 1},
    jobs=jobs,
    rows_from="harvest",
    extra="ingest",
    needs=("apache_beam",),
    states=tuple(LengthState),
)
# [/stage]
