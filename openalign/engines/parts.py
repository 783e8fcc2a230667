"""A job's account of its work: it emits Parts as data, and they add up to its summary.

Counts never come from a runner's metrics: Spark reports only attempted ones. A job ends like this:

    parts | WriteSummary(url)        one line of JSON a Part, sorted
    read_summary(url)                files in name order, counts added up, notes by their kind
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import apache_beam as beam
import msgspec
from apache_beam.pvalue import PCollection

from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.files.manifest import DataFile
from openalign.lines import lines_of

_TAG = "note"


class Note(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field=_TAG):
    """A typed note in a Part; subclass it in an importable module, one class a kind."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The share of one bundle of work in a job's summary; sent as JSON."""

    files: Sequence[DataFile] = ()
    counts: dict[str, int] = {}
    notes: Sequence[Note] = ()

    def to_json(self) -> str:
        """Return the part as one line."""
        return canonical_json(self)


class _PartLine(msgspec.Struct, frozen=True, kw_only=True):
    """A Part as read from JSON, with notes not decoded yet: their reader knows their kind."""

    files: list[DataFile]
    counts: dict[str, int]
    notes: list[dict[str, Any]]


_LINE = msgspec.json.Decoder(_PartLine)

N = TypeVar("N", bound=Note)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A job's parts put together: files in name order, counts added up, notes."""

    files: list[DataFile]
    counts: Counter[str]
    raw_notes: list[dict[str, Any]]

    def notes(self, kind: type[N]) -> list[N]:
        """Return the notes of one kind."""
        return [
            msgspec.convert(note, kind) for note in self.raw_notes if note[_TAG] == kind.__name__
        ]


def files_of(line: str) -> list[DataFile]:
    """Return the files in a Part's line."""
    return _LINE.decode(line).files


@dataclass
class CollectLines(beam.PTransform[Any, Any]):
    """Collect all lines of a job in one sorted list; without lines, the list is empty.

    Beam's own `ToList` would pickle them.
    """

    def expand(self, lines: PCollection[str]) -> PCollection[list[str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the shuffle."""
        start: Any = lines.pipeline | "Start" >> beam.Create([""], reshuffle=False)
        collected: Any = (
            (start, lines)
            | "Flatten" >> beam.Flatten()
            | "Key" >> beam.Map(_under_one_key).with_output_types(tuple[int, str])
            | "Gather" >> beam.GroupByKey()
            | "Sort" >> beam.MapTuple(_sorted).with_output_types(list[str])
        )
        return collected


def _under_one_key(line: str) -> tuple[int, str]:
    return 0, line


def _sorted(_: int, lines: Iterable[str]) -> list[str]:
    return sorted(line for line in lines if line)


@dataclass
class WriteSummary(beam.PTransform[Any, Any]):
    """Put all Parts of a job into one JSON file, in an order that does not depend on the runner."""

    url: str

    require: Callable[[], None] | None = None
    """Called before the write; raises an error where the job has ended without this worker."""

    def expand(self, parts: PCollection[str]) -> PCollection[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the write; a job without Parts gets an empty file."""
        collected: Any = parts | "Collect" >> CollectLines()
        return collected | "Write" >> beam.Map(self._write)

    def _write(self, parts: list[str]) -> None:
        if self.require is not None:
            self.require()
        storage.write_text(self.url, "".join(line + "\n" for line in parts))


def read_summary(url: str) -> Summary:
    """Return what the Parts of a finished job add up to."""
    lines = [_LINE.decode(line) for line in lines_of(storage.read_text(url))]
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line.counts)
    return Summary(
        files=sorted((f for line in lines for f in line.files), key=lambda f: f.name),
        counts=counts,
        raw_notes=[note for line in lines for note in line.notes],
    )
