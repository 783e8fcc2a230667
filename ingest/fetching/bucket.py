"""One bucket of images to shards: its images fetched, stored, and accounted for in ledgers.

A bucket's images are in the order of their keys and cut into shards by their number before anything
is fetched. So a shard's name and content do not depend on the order of answers.

The next shards are filled while one waits for its slow hosts. Nothing is written for a shard when
its job has ended, or when a failure is this machine's own.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import polars as pl

from openalign.engines.jobs import Attempt
from openalign.engines.parts import Part
from openalign.files.names import ledger_name
from openalign.files.removals import Removals, read_removals
from openalign.files.states import FetchState
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching.image_judging import ImageJudge
from openalign.ingest.fetching.live_fetch import note_asked, note_ended, note_finished
from openalign.ingest.fetching.open_shard import OpenShard, ShardNote, finished_shard
from openalign.ingest.fetching.setup import FetchSetup
from openalign.ingest.fetching.supplies import opened_supply
from openalign.ingest.fetching.supply import ImageSupply, Supplied
from openalign.ingest.fetching.work_files import WorkFiles, cut_by_count
from openalign.ingest.fetching.work_plan import WorkPlan, read_plan
from openalign.ingest.sources.contract import OwnImages
from openalign.ingest.web.outcomes import Failure

SHARDS_AT_ONCE = 4
"""Shards of a bucket that are filled at one time."""


class _Planned(NamedTuple):
    """A shard before it is opened."""

    number: int
    ledger_file: str
    rows: pl.DataFrame


@dataclass(frozen=True, kw_only=True)
class FetchBucket:
    """Fetches all images of a bucket."""

    setup: FetchSetup
    attempt: Attempt
    """The job's: a worker that outlives its job seals nothing."""

    def fetch(self, bucket: int) -> Iterator[Part]:
        """Yield a Part for each shard of the bucket, in order."""
        with opened_supply(self.setup, self._judge, owners_of=self.owners_of) as supply:
            yield from self._fill(self._shards(bucket), supply)

    def owners_of(self, host: str) -> int:
        """Return how many workers may ask for a host's images at one time.

        Buckets that wait for their worker ask nobody, so the others have their share.
        """
        most = self.setup.most_workers
        owners = self._plan.owners_of(host)
        return owners if most is None else min(owners, most)

    @cached_property
    def _plan(self) -> WorkPlan:
        return read_plan(self.setup.plan_url)

    @cached_property
    def _removals(self) -> Removals:
        return read_removals(self.setup.work)

    @cached_property
    def _judge(self) -> ImageJudge:
        images_from = self.setup.images_from
        stay = isinstance(images_from, OwnImages) and images_from.stay
        return ImageJudge(
            config=self.setup.config,
            header_rule=self.setup.header_rule,
            removals=self._removals,
            are_stored=not stay,
        )

    def _shards(self, bucket: int) -> Iterator[_Planned]:
        setup = self.setup
        files = WorkFiles(
            setup.work, summary_url=setup.work_summary, plan=self._plan, bucket=bucket
        )
        cut = cut_by_count(files.sorted_ranges(), self.setup.config.images_per_shard)
        for number, rows in enumerate(cut):
            name = ledger_name(bucket, number, round_number=setup.round_number)
            yield _Planned(number, name, rows)

    def _fill(self, shards: Iterator[_Planned], supply: ImageSupply) -> Iterator[Part]:
        """Fill several shards at one time."""
        config = self.setup.config
        budget = _Budget(config)
        filling: deque[OpenShard | Part] = deque()
        by_url: dict[str, OpenShard] = {}
        try:
            while True:
                while len(filling) < SHARDS_AT_ONCE and len(by_url) < config.images_per_shard:
                    planned = next(shards, None)
                    if planned is None:
                        break
                    opened = self._opened(planned)
                    filling.append(opened)
                    if isinstance(opened, OpenShard):
                        has_budget = budget.has_room_for(planned.number)
                        wanted = self._wanted(opened, has_budget=has_budget)
                        by_url |= dict.fromkeys(wanted, opened)
                        supply.add(planned.rows.filter(pl.col("image_url").is_in(wanted)))
                # Shards end in order, so that no more than these are ever open.
                if filling and (isinstance(filling[0], Part) or filling[0].is_full):
                    part = self._sealed(filling.popleft())
                    budget.spend(part)
                    yield part
                    continue
                outcome = supply.take()
                if outcome is None:
                    return
                self._take(by_url.pop(outcome.url), outcome)
        finally:
            for opened in filling:
                if isinstance(opened, OpenShard):
                    opened.close()

    def _opened(self, planned: _Planned) -> OpenShard | Part:
        """Open a shard; return the Part of one that is finished."""
        part = finished_shard(self.setup.output, planned.ledger_file)
        if part is not None:
            note_finished(self.setup.work, part)
            return part
        self.attempt.require()
        return OpenShard(planned.ledger_file, planned.rows)

    def _wanted(self, shard: OpenShard, *, has_budget: bool) -> list[str]:
        """Return the images of a shard to ask for; the others get their outcome."""
        urls = shard.images["image_url"]
        untried = (
            shard.images["image_key"] >= self._plan.first_untried
            if self._plan.first_untried and has_budget
            else pl.repeat(not has_budget, len(urls), eager=True)
        )
        removed = pl.Series(self._removals.of_addresses(urls))
        wanted = urls.filter(~untried & ~removed)
        note_asked(self.setup.work, len(wanted) + int(removed.sum()))
        for url in urls.filter(removed):
            self._take(shard, Failure(url=url, state=FetchState.REMOVED, detail=""))
        for url in urls.filter(untried & ~removed):
            shard.take(Failure(url=url, state=FetchState.NOT_TRIED, detail=""), self._judge)
        return wanted.to_list()

    def _take(self, shard: OpenShard, outcome: Supplied) -> None:
        state = shard.take(outcome, self._judge)
        num_rows = shard.num_rows_of(outcome.url)
        note_ended(self.setup.work, state, num_rows=num_rows, num_bytes=len(outcome.body))

    def _sealed(self, shard: OpenShard | Part) -> Part:
        if isinstance(shard, Part):
            return shard
        with closing(shard):
            # Another attempt may have finished the shard; its files must not be overwritten.
            part = finished_shard(self.setup.output, shard.ledger_file)
            if part is not None:
                return part
            # The demo's site outlives the attempt, so it still answered if the attempt is current.
            self.attempt.require()
            return shard.write(self.setup.output)


class _Budget:
    """The bytes that a bucket may fetch.

    Whether there is room for a shard is told by those shards alone that are sealed whenever it is
    opened, so that no order of answers shows.
    """

    def __init__(self, config: FetchConfig) -> None:
        total = config.max_total_bytes
        self._share = None if total is None else total / config.num_buckets
        self._spent: list[int] = []

    def spend(self, part: Part) -> None:
        """Count the bytes of the next shard."""
        [note] = part.notes
        assert isinstance(note, ShardNote)
        self._spent.append(note.num_bytes)

    def has_room_for(self, number: int) -> bool:
        """Tell whether the images of a shard are still to be fetched."""
        if self._share is None:
            return True
        return sum(self._spent[: max(0, number - SHARDS_AT_ONCE + 1)]) < self._share
