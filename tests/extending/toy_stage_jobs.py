"""The jobs of the toy stage, imported when it runs."""

# [jobs]
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam

from openalign.engines.batches import Paths, read_batches
from openalign.engines.jobs import Attempt, EndedJob, Job, Jobs
from openalign.engines.parts import Note, Part
from openalign.files import storage
from openalign.files.facts import Facts
from openalign.files.manifest import DataFile, StageResult

COUNTED = "counted"
"""The state of every row: nothing is dropped here."""


class LengthNote(Note, frozen=True, kw_only=True):
    """What a worker tells of one file of candidates."""

    longest: int


class LengthFacts(Facts, frozen=True, kw_only=True):
    """What the manifest keeps."""

    longest: int


def jobs(candidates: Sequence[str], *, output: str) -> Jobs:
    """Declare one job: a graph of Parts, and the result that they add up to."""

    def build(pipeline: beam.Pipeline, _: Attempt) -> Any:
        measure = beam.FlatMap(partial(_measure, output=output))
        return pipeline | Paths(candidates) | measure.with_output_types(str)

    return Jobs(jobs=[Job(name="measured", build=build)], collect=_collect)


def _measure(url: str, *, output: str) -> Iterator[str]:
    """Write the lengths of one file's alt-texts, and tell of the file, its rows and the longest."""
    texts = [text for batch in read_batches(url) for text in batch.column("alt_text").to_pylist()]
    lengths = [len(text) for text in texts]
    name = f"{url.rpartition('/')[2].removesuffix('.parquet')}.txt"
    written = storage.write_text(storage.join(output, name), "".join(f"{n}\n" for n in lengths))
    yield Part(
        files=[DataFile.of(name, written, num_rows=len(lengths))],
        counts={COUNTED: len(lengths)},
        notes=[LengthNote(longest=max(lengths, default=0))],
    ).to_json()


def _collect(measured: EndedJob) -> StageResult:
    counted = measured.summary.counts[COUNTED]
    return StageResult(
        num_inputs=counted,
        states={COUNTED: counted},
        num_outputs=counted,
        files=measured.summary.files,
        facts=LengthFacts(longest=max(n.longest for n in measured.summary.notes(LengthNote))),
    )


# [/jobs]
