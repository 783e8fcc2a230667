"""One bucket of images to shards: its images fetched, stored, and accounted for in ledgers.

A bucket's images are in the order of their keys and cut into shards by their number before anything
is fetched. So a shard's name and content do not depend on the order of answers.

The next shards are filled while one waits for its slow hosts. Nothing is written for a shard when
its job has ended, or when a failure is this machine's own.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from openalign.engines.jobs import Attempt
from openalign.engines.parts import Part
from openalign.files.names import ledger_name
from openalign.files.shards import ShardReader
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching.image_judging import HeaderRule, ImageJudge
from openalign.ingest.fetching.images_in_place import read_images
from openalign.ingest.fetching.open_shard import OpenShard, finished_shard
from openalign.ingest.fetching.work_files import WorkFiles, cut_by_count
from openalign.ingest.fetching.work_plan import read_plan
from openalign.ingest.sources.contract import OwnImages
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.transfer import BodyRule

SHARDS_AT_ONCE = 4
"""Shards of a bucket that are filled at one time."""

_ACCEPT = "image/avif,image/webp,image/png,image/jpeg,image/*;q=0.8"

_Planned = tuple[str, pl.DataFrame]
"""The ledger of a shard, and the shard's candidates."""


@dataclass(frozen=True, kw_only=True)
class FetchBucket:
    """Fetches all images of a bucket."""

    config: FetchConfig
    images_from: WebConfig | OwnImages
    header_rule: HeaderRule | None
    output: str
    plan_url: str
    work_files: str
    """The folder of the work files."""

    work_summary: str
    """The summary of the job that wrote them."""

    attempt: Attempt
    """The job's: a worker that outlives its job seals nothing."""

    def fetch(self, bucket: int) -> Iterator[Part]:
        """Yield a Part for each shard of the bucket, as it is sealed."""
        plan = read_plan(self.plan_url)
        files = WorkFiles(self.work_files, summary_url=self.work_summary, plan=plan, bucket=bucket)
        cut = cut_by_count(files.sorted_ranges(), self.config.images_per_shard)
        shards = ((ledger_name(bucket, number), rows) for number, rows in enumerate(cut))
        if isinstance(self.images_from, OwnImages):
            yield from self._read_all(shards, self.images_from)
            return
        body = BodyRule(max_bytes=self.config.max_bytes, look=self._judge.look)
        with WebClient(
            self.images_from, accept=_ACCEPT, body=body, owners_of=plan.owners_of
        ) as client:
            yield from self._ask_for_all(shards, client)

    @cached_property
    def _judge(self) -> ImageJudge:
        stay = isinstance(self.images_from, OwnImages) and self.images_from.stay
        return ImageJudge(config=self.config, header_rule=self.header_rule, are_stored=not stay)

    def _read_all(self, shards: Iterator[_Planned], images: OwnImages) -> Iterator[Part]:
        """Fill one shard after the other with images that lie somewhere."""
        with closing(ShardReader(images.folder)) as reader:
            for ledger_file, rows in shards:
                opened = self._opened(ledger_file, rows)
                if isinstance(opened, Part):
                    yield opened
                    continue
                with closing(opened):
                    for outcome in read_images(rows, reader, max_bytes=self.config.max_bytes):
                        opened.take(outcome, self._judge)
                    yield self._sealed(ledger_file, opened)

    def _ask_for_all(self, shards: Iterator[_Planned], client: WebClient) -> Iterator[Part]:
        """Fill several shards at one time with images from the web."""
        filling: deque[tuple[str, OpenShard]] = deque()
        by_url: dict[str, OpenShard] = {}
        with ExitStack() as opened_shards:
            while True:
                while len(filling) < SHARDS_AT_ONCE and len(by_url) < self.config.images_per_shard:
                    planned = next(shards, None)
                    if planned is None:
                        break
                    opened = self._opened(*planned)
                    if isinstance(opened, Part):
                        yield opened
                        continue
                    opened_shards.callback(opened.close)
                    filling.append((planned[0], opened))
                    by_url |= dict.fromkeys(opened.urls, opened)
                    client.add(opened.urls)
                outcome = client.take()
                if outcome is None:
                    return
                by_url.pop(outcome.url).take(outcome, self._judge)
                # In order, so that no more than these are ever open.
                while filling and filling[0][1].is_full:
                    ledger_file, full = filling.popleft()
                    yield self._sealed(ledger_file, full)
                    full.close()

    def _opened(self, ledger_file: str, rows: pl.DataFrame) -> OpenShard | Part:
        """Open a shard; return the Part of one that is finished."""
        part = finished_shard(self.output, ledger_file)
        if part is not None:
            return part
        self.attempt.require()
        return OpenShard(ledger_file, rows)

    def _sealed(self, ledger_file: str, shard: OpenShard) -> Part:
        # Another attempt may have finished the shard; its files must not be overwritten.
        part = finished_shard(self.output, ledger_file)
        if part is not None:
            return part
        # The demo's site outlives the attempt, so it still answered if the attempt is current.
        self.attempt.require()
        return shard.write(self.output)
