"""One bucket of images to shards: its images fetched, stored, and accounted for in ledgers.

A bucket's images are in the order of their keys and cut into shards by their number before anything
is fetched. So a shard's name and content do not depend on the order of answers.

The next shards are filled while one waits for its slow hosts. Nothing is written for a shard when
its job has ended, or when a failure is this machine's own.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
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
from openalign.ingest.fetching.byte_budget import ByteBudget, Portion, budget_of
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

PAST_EVERY_KEY = "~"
"""In the order of image keys, which are hexadecimal."""


class _Planned(NamedTuple):
    """A shard before it is opened."""

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
            shards, budget = self._shards(bucket), budget_of(self.setup.config)
            yield from self._fill(shards, supply, budget)
            if budget is not None:
                yield from self._fill_within(budget, shards, supply)

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
            yield _Planned(name, rows)

    def _fill(
        self, shards: Iterator[_Planned], supply: ImageSupply, budget: ByteBudget | None
    ) -> Iterator[Part]:
        """Fill several shards at one time, all of them or while the budget is far."""
        most_open = self.setup.config.images_per_shard
        num_opened, is_far = 0, True
        filling: deque[OpenShard | Part] = deque()
        by_url: dict[str, OpenShard] = {}
        try:
            while True:
                while len(filling) < SHARDS_AT_ONCE and len(by_url) < most_open:
                    is_far = is_far and (
                        budget is None or budget.is_far(num_opened, at_once=SHARDS_AT_ONCE)
                    )
                    planned = next(shards, None) if is_far else None
                    if planned is None:
                        break
                    num_opened += 1
                    opened = self._opened(planned)
                    filling.append(opened)
                    if isinstance(opened, OpenShard):
                        wanted = self._wanted(opened)
                        by_url |= dict.fromkeys(wanted, opened)
                        self._ask(planned.rows, wanted, supply)
                # Shards end in order, so that no more than these are ever open.
                if filling and (isinstance(filling[0], Part) or filling[0].is_full):
                    part = self._sealed(filling.popleft())
                    _count(part, budget)
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

    def _fill_within(
        self, budget: ByteBudget, shards: Iterator[_Planned], supply: ImageSupply
    ) -> Iterator[Part]:
        """Fill one shard after the other while there is budget, a portion of images at a time."""
        for planned in shards:
            opened = self._opened(planned)
            try:
                if isinstance(opened, OpenShard):
                    self._ask_within(budget, planned.rows, opened, supply)
                part = self._sealed(opened)
            finally:
                if isinstance(opened, OpenShard):
                    opened.close()
            _count(part, budget)
            yield part

    def _ask_within(
        self, budget: ByteBudget, rows: pl.DataFrame, shard: OpenShard, supply: ImageSupply
    ) -> None:
        waiting = self._wanted(shard)
        asked: dict[str, Portion] = {}
        while waiting or asked:
            while waiting and (portion := budget.next_portion()):
                if not portion.num_images:
                    self._leave(shard, waiting)
                    waiting = []
                    break
                urls, waiting = waiting[: portion.num_images], waiting[portion.num_images :]
                portion.num_images = len(urls)
                asked |= dict.fromkeys(urls, portion)
                self._ask(rows, urls, supply)
            if asked:
                outcome = supply.take()
                assert outcome is not None
                is_kept = self._take(shard, outcome) is FetchState.FETCHED
                asked.pop(outcome.url).ended(len(outcome.body) if is_kept else 0)

    def _opened(self, planned: _Planned) -> OpenShard | Part:
        """Open a shard; return the Part of one that is finished."""
        part = finished_shard(self.setup.output, planned.ledger_file)
        if part is not None:
            note_finished(self.setup.work, part)
            return part
        self.attempt.require()
        return OpenShard(planned.ledger_file, planned.rows)

    def _wanted(self, shard: OpenShard) -> list[str]:
        """Return the images of a shard to ask for; the others get their outcome."""
        urls = shard.images["image_url"]
        end = self._plan.first_untried
        untried = shard.images["image_key"] >= (end or PAST_EVERY_KEY)
        removed = pl.Series(self._removals.of_addresses(urls))
        note_asked(self.setup.work, int(removed.sum()))
        for url in urls.filter(removed):
            self._take(shard, Failure(url=url, state=FetchState.REMOVED, detail=""))
        self._leave(shard, urls.filter(untried & ~removed))
        return urls.filter(~untried & ~removed).to_list()

    def _ask(self, rows: pl.DataFrame, urls: Sequence[str], supply: ImageSupply) -> None:
        note_asked(self.setup.work, len(urls))
        supply.add(rows.filter(pl.col("image_url").is_in(urls)))

    def _leave(self, shard: OpenShard, urls: Iterable[str]) -> None:
        """Leave images to a later round."""
        for url in urls:
            shard.take(Failure(url=url, state=FetchState.NOT_TRIED, detail=""), self._judge)

    def _take(self, shard: OpenShard, outcome: Supplied) -> FetchState:
        state = shard.take(outcome, self._judge)
        num_rows = shard.num_rows_of(outcome.url)
        note_ended(self.setup.work, state, num_rows=num_rows, num_bytes=len(outcome.body))
        return state

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


def _count(part: Part, budget: ByteBudget | None) -> None:
    if budget is not None:
        [note] = part.notes
        assert isinstance(note, ShardNote)
        budget.shard_ended(note.images, note.num_bytes)
