"""The Beam transforms that judge rows: every row is kept, or rejected with a reason.

`filter` and `select` judge different rows in the same way. A judge gives each row its flags, one
bit a rule. The first rule whose bit is set is the row's reason. The funnel needs only the number of
rows with each combination of flags.
"""

from abc import ABC
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
from apache_beam.pvalue import PCollection, TaggedOutput

from openalign.engines.batches import read_batches
from openalign.engines.buckets import at_the_end
from openalign.engines.parts import Part, Summary
from openalign.engines.tallies import MergeTallies, on_their_own, pieces_of, shown
from openalign.files.facts import DroppedExample, FrequentText, HostRows, JudgedFacts
from openalign.files.names import KEPT, REJECTED
from openalign.files.schemas import with_reason
from openalign.files.tables import open_table
from openalign.filtering import tallies
from openalign.filtering.counts.tokens import U64, Bools
from openalign.filtering.rules.table import Flags, first_rule, rule_effects

_REJECTED, _PARTS, _TALLIES = "rejected", "parts", "tallies"
_HELD_ROWS = 200_000
_FLAGS = "flags_"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's verdict on a batch."""

    flags: Flags
    frequent_texts: tuple[Bools, U64] | None = None
    """Rows whose alt-text stands on many images, and every row's alt-text hash."""


Judge = Callable[[pa.RecordBatch], Verdict]
OpenJudge = Callable[[], Judge]
"""Makes a worker's judge."""


class Sides(NamedTuple):
    """The outputs of `JudgeRows`: kept batches, rejected batches, and Parts."""

    kept: Any
    rejected: Any
    parts: Any


@dataclass
class JudgeRows(beam.PTransform[Any, Any]):
    """Send each row to `kept`, or to `rejected` with its reason."""

    open_judge: OpenJudge
    rules: tuple[str, ...]
    num_buckets: int
    """Pieces that the tallies are cut into, of hosts above all."""

    def expand(self, batches: PCollection[pa.RecordBatch]) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the judge; returns `Sides`."""
        judge = beam.ParDo(
            _JudgeBatches(self.open_judge, self.rules, self.num_buckets)
        ).with_output_types(
            pa.RecordBatch, rejected=pa.RecordBatch, parts=str, tallies=tuple[str, bytes]
        )
        sides: Any = batches | "Judge" >> judge.with_outputs(
            _REJECTED, _PARTS, _TALLIES, main="kept"
        )
        parts = (
            sides[_PARTS],
            sides[_TALLIES] | MergeTallies(tallies.TALLIES),
        ) | "Parts" >> beam.Flatten()
        return Sides(kept=sides["kept"], rejected=sides[_REJECTED], parts=parts)


@dataclass
class JudgeFiles(beam.PTransform[Any, Any]):
    """Judge whole files: `candidates-3` becomes `kept-3` and `rejected-3`, as Parts.

    No row is shuffled or moved, so the new files are cut and sorted like the old
    ones. The files' names must pass `check_tails`.
    """

    open_judge: OpenJudge
    rules: tuple[str, ...]
    num_buckets: int
    """Pieces that the tallies are cut into, of hosts above all."""

    folder: str
    schema: pa.Schema

    def expand(self, urls: PCollection[str]) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the judge and the writes."""
        tables = _JudgeTables(
            self.open_judge, self.rules, self.num_buckets, folder=self.folder, schema=self.schema
        )
        judge = beam.ParDo(tables).with_output_types(Any, parts=str, tallies=tuple[str, bytes])
        sides: Any = urls | "Judge" >> judge.with_outputs(_PARTS, _TALLIES)
        return (
            sides[_PARTS],
            sides[_TALLIES] | MergeTallies(tallies.TALLIES),
        ) | "Parts" >> beam.Flatten()


def check_tails(urls: Iterable[str]) -> None:
    """Check that no two judged files would be written under one name."""
    of_tail: dict[str, str] = {}
    for url in urls:
        tail = tail_of(url)
        assert tail not in of_tail, f"{of_tail[tail]} and {url} would become one file"
        of_tail[tail] = url


def tail_of(url: str) -> str:
    """Return the part of a file name after its first `-`; the new files' names end with it."""
    tail = url.rpartition("/")[2].partition("-")[2]
    assert tail, f"nothing tells what becomes of {url} from what becomes of other files"
    return tail


class _Judging(beam.DoFn, ABC):
    """Splits batches by the judge's verdict, and counts verdicts."""

    def __init__(self, open_judge: OpenJudge, rules: tuple[str, ...], num_buckets: int) -> None:
        self._open_judge = open_judge
        self._rules = rules
        self._num_buckets = num_buckets

    def setup(self) -> None:
        self._judge = self._open_judge()

    def start_bundle(self) -> None:
        self._num_by_flags = np.zeros(1 << len(self._rules), np.int64)
        self._held: dict[str, list[pl.DataFrame]] = {name: [] for name in tallies.TALLIES}

    def finish_bundle(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        counts = {f"{_FLAGS}{flags}": int(n) for flags, n in enumerate(self._num_by_flags) if n}
        if not counts:
            return
        for item in (*self.flush(), TaggedOutput(_PARTS, Part(counts=counts).to_json())):
            yield TaggedOutput(str(item.tag), at_the_end(item.value))

    def split(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Return the kept rows, and the rejected ones with their reason."""
        verdict = self._judge(batch)
        self._num_by_flags += np.bincount(verdict.flags, minlength=1 << len(self._rules))
        rejected = verdict.flags != 0
        reasons = first_rule(verdict.flags[rejected], self._rules)
        out = batch.filter(pa.array(rejected)).append_column(
            "reason", reasons.to_arrow().cast(pa.string())
        )
        self._tally(batch, out, verdict)
        return batch.filter(pa.array(~rejected)), out

    def flush_if_large(self) -> list[TaggedOutput]:
        """Return the tallies once they are large."""
        num_held = sum(frame.height for frames in self._held.values() for frame in frames)
        return self.flush() if num_held > _HELD_ROWS else []

    def flush(self) -> list[TaggedOutput]:
        """Return the tallies and reset them."""
        items: list[TaggedOutput] = []
        for name, frames in self._held.items():
            if frames:
                merged = tallies.merge(name, frames)
                self._held[name] = []
                tally = tallies.TALLIES[name]
                pieces = pieces_of(name, tally, merged, num_buckets=self._num_buckets)
                items += [TaggedOutput(_TALLIES, piece) for piece in pieces]
        return items

    def _tally(self, batch: pa.RecordBatch, out: pa.RecordBatch, verdict: Verdict) -> None:
        rejected = pl.DataFrame(out)
        self._hold("examples", tallies.of_examples(rejected))
        urls = pl.DataFrame(batch.select(["image_url"]))
        self._hold("hosts", tallies.of_hosts(urls, pl.Series(verdict.flags == 0)))
        if verdict.frequent_texts is not None:
            frequent, hashes = verdict.frequent_texts
            of_rejected = frequent[verdict.flags != 0]
            texts = hashes[verdict.flags != 0][of_rejected]
            self._hold("texts", tallies.of_texts(rejected.filter(of_rejected), texts))

    def _hold(self, name: str, rows: pl.DataFrame) -> None:
        self._held[name].append(on_their_own(rows))


class _JudgeBatches(_Judging):
    def process(self, element: pa.RecordBatch) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        kept, rejected = self.split(element)
        yield kept
        yield TaggedOutput(_REJECTED, rejected)
        yield from self.flush_if_large()


class _JudgeTables(_Judging):
    def __init__(
        self,
        open_judge: OpenJudge,
        rules: tuple[str, ...],
        num_buckets: int,
        *,
        folder: str,
        schema: pa.Schema,
    ) -> None:
        super().__init__(open_judge, rules, num_buckets)
        self._folder = folder
        self._schema = schema

    def process(self, element: str) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        tail = tail_of(element)
        with (
            open_table(self._folder, f"{KEPT}{tail}", self._schema) as to_kept,
            open_table(self._folder, f"{REJECTED}{tail}", with_reason(self._schema)) as to_rejected,
        ):
            for batch in read_batches(element, schema=self._schema):
                kept, rejected = self.split(batch)
                to_kept.write(kept)
                to_rejected.write(rejected.cast(with_reason(self._schema)))
                yield from self.flush_if_large()
        part = Part(files=[to_kept.file, to_rejected.file])
        yield TaggedOutput(_PARTS, part.to_json())


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdicts of a finished job, added up."""

    states: dict[str, int]
    """Rows by terminal state, `kept` and every rule that dropped a row."""

    facts: JudgedFacts


def add_up(summary: Summary, rules: tuple[str, ...]) -> Judged:
    """Add up the verdicts in a finished job's Parts."""
    num_by_flags = Counter(
        {
            int(name.removeprefix(_FLAGS)): number
            for name, number in summary.counts.items()
            if name.startswith(_FLAGS)
        }
    )
    effects = rule_effects(num_by_flags, rules)
    found = shown(summary, tallies.TALLIES)
    return Judged(
        states={"kept": num_by_flags[0], **{e.rule: e.dropped for e in effects if e.dropped}},
        facts=JudgedFacts(
            rules=effects,
            examples=_by_rule(found["examples"], rules),
            top_texts=msgspec.convert(found["texts"], list[FrequentText]),
            top_hosts=msgspec.convert(found["hosts"], list[HostRows]),
        ),
    )


def _by_rule(
    rows: Sequence[dict[str, Any]], rules: tuple[str, ...]
) -> dict[str, list[DroppedExample]]:
    found = {rule: [row for row in rows if row["rule"] == rule] for rule in rules}
    return {
        rule: msgspec.convert(examples, list[DroppedExample])
        for rule, examples in found.items()
        if examples
    }
