"""A round: images that ended in some states are taken out of the ledgers and tried again.

What is left of a ledger becomes a ledger of its own, so that each candidate is still a row of one.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec
import polars as pl

from openalign.engines.jobs import summary_url
from openalign.engines.parts import Note, Part, read_summary
from openalign.files import storage
from openalign.files.facts import FetchFacts, FetchRound
from openalign.files.manifest import Manifest, StageResult
from openalign.files.names import LEDGERS, rest_name
from openalign.files.schemas import CANDIDATE
from openalign.files.states import FetchState
from openalign.files.tables import read_table, write_table
from openalign.ingest.fetching.ledger_files import named_by, naming
from openalign.ingest.fetching.setup import FETCHED, TAKEN, FetchSetup


class TakenNote(Note, frozen=True, kw_only=True):
    """A ledger that rows were taken from."""

    ledger: str
    rows_file: str
    """The file of these rows in `work`."""


def take_rows(
    ledger_url: str, *, setup: FetchSetup, states: Collection[FetchState]
) -> Iterator[str]:
    """Take the rows in some states out of a ledger; yield a Part if there are any.

    The rows are written to `work`, and what is left of the ledger to the output.
    """
    ledger = read_table(ledger_url)
    rows = pl.DataFrame(ledger)
    is_taken = rows["state"].is_in([state.value for state in states])
    if not is_taken.any():
        return
    name = ledger_url.rpartition("/")[2]
    taken = rows.filter(is_taken).select(CANDIDATE.names).to_arrow().cast(CANDIDATE)
    write_table(setup.work, f"{TAKEN}-{name}", taken)
    files = []
    if not is_taken.all():
        rest = rest_name(name, round_number=setup.round_number)
        left = rows.filter(~is_taken).to_arrow().cast(ledger.schema)
        files.append(write_table(setup.output, rest, naming(left, named_by(ledger) or ())))
    note = TakenNote(ledger=name, rows_file=f"{TAKEN}-{name}")
    yield Part(files=files, counts={TAKEN: taken.num_rows}, notes=[note]).to_json()


def _notes(setup: FetchSetup) -> list[TakenNote]:
    return read_summary(summary_url(setup.work, TAKEN)).notes(TakenNote)


def taken_rows(setup: FetchSetup) -> list[str]:
    """Return the URLs of the files of rows that are tried again."""
    return [storage.join(setup.work, note.rows_file) for note in _notes(setup)]


def ledgers_taken_from(setup: FetchSetup) -> list[str]:
    """Return the names of the ledgers that a round takes rows out of."""
    return [note.ledger for note in _notes(setup)]


def all_ledgers(setup: FetchSetup, *, before: Sequence[str]) -> list[str]:
    """Return the URLs of all ledgers of a fetch whose images have been fetched.

    Those in `before` are of the result that a round adds to. While jobs are only built there are
    none yet.
    """
    ended = [summary_url(setup.work, FETCHED), *([summary_url(setup.work, TAKEN)] * bool(before))]
    if not all(storage.exists(url) for url in ended):
        return []
    made = [f.name for url in ended for f in read_summary(url).files if f.name.startswith(LEDGERS)]
    taken = ledgers_taken_from(setup) if before else []
    left = [url for url in before if url.rpartition("/")[2] not in taken]
    return [*left, *(storage.join(setup.output, name) for name in sorted(made))]


def with_round(
    before: Manifest,
    found: StageResult,
    *,
    states: Collection[FetchState],
    replaced: Collection[str],
) -> Manifest:
    """Return the manifest of a fetch after a round.

    `found` is the round's result, `states` those that its rows had, and `replaced` names the
    ledgers that the round's take the place of.
    """
    names = sorted(state.value for state in states)
    facts, new = before.facts_as(FetchFacts), found.facts
    assert isinstance(new, FetchFacts)
    ended = {state: count for state, count in found.states.items() if count}
    files = [f for f in before.files if f.name not in replaced]
    return msgspec.structs.replace(
        before,
        states=_moved(before.states, names, found.states),
        num_outputs=before.num_outputs + found.num_outputs,
        files=sorted([*files, *found.files], key=lambda f: f.name),
        facts=msgspec.to_builtins(
            FetchFacts(
                images=_moved(facts.images, names, new.images),
                num_bytes=facts.num_bytes + new.num_bytes,
                stored_bytes=facts.stored_bytes + new.stored_bytes,
                rounds=[
                    *facts.rounds,
                    FetchRound(states=names, num_inputs=found.num_inputs, ended=ended),
                ],
                tallies=new.tallies,
            )
        ),
    )


def _moved(
    before: dict[str, int], taken: Collection[str], added: Mapping[str, int]
) -> dict[str, int]:
    """Return counts by state without those that were taken, and with those that were added."""
    counts = Counter({state: n for state, n in before.items() if state not in taken})
    counts.update(added)
    return {state: counts[state] for state in sorted({*before, *added})}
