"""How the work of a fetch is cut: the buckets that one worker owns each, and ranges of them.

All images of a host are in one bucket, so one worker asks for them. A large host has several owners
instead, with a part of its images, rate and connections each. Within a bucket images are in the
order of their keys, which are hashes, so a range of keys is a part of the bucket that a worker can
hold, whatever the bucket's size.

Candidates are counted by cells, and a host lies in one cell. So the plan has one size, however many
hosts there are. A host that shares a cell with a large one is cut like it.
"""

import math
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.files.hashing import hash64, hash64_expr, image_key
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.host_limits import names_for
from openalign.ingest.web.urls import hosts_of

NUM_CELLS = 1 << 18
"""Cells that hosts fall into, or images where no host is asked. Part of what decides a bucket."""

RANGE_ROWS = 1 << 15
"""Candidates of a range, about; a worker holds those of one range at a time."""

_KEY_CHARS = 8
_KEY_BITS = 4 * _KEY_CHARS
_KEY_SHIFT = _KEY_BITS - (NUM_CELLS - 1).bit_length()

Numbers = npt.NDArray[np.int64]


class WorkPlan(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Where each candidate goes."""

    by_host: bool
    """Whether all images of a host go together; images that are on no web need not."""

    num_ranges: list[int]
    """The ranges of each bucket."""

    num_owners: dict[int, int]
    """By the number of a cell, the workers that its hosts may be shared among, where several."""

    connections: dict[str, int] = {}
    """Connections to a host, by its name as in the setting `hosts`, where that says how many: each
    owner needs one."""

    connections_of_others: int = 1
    """Connections to hosts that no such name is for."""

    first_untried: str = ""
    """Images whose keys do not come before this are not tried; empty where all are."""

    num_tried: int = 0
    """Candidates that are tried, unless a budget of bytes ends before."""

    slow_cells: list[int] = []
    """Cells with so many candidates that one of their hosts may take more than an hour."""

    @property
    def num_buckets(self) -> int:
        """Return the number of buckets."""
        return len(self.num_ranges)

    @cached_property
    def first_ranges(self) -> Numbers:
        """The number of each bucket's first range, counted through all buckets, and their sum."""
        return np.concatenate([[0], np.cumsum(self.num_ranges)])

    @cached_property
    def _owners(self) -> Numbers:
        owners = np.ones(NUM_CELLS, np.int64)
        owners[list(self.num_owners)] = list(self.num_owners.values())
        return owners

    def cut_like(self, earlier: "WorkPlan") -> "WorkPlan":
        """Return this plan for candidates that an earlier one has cut.

        Connections, which decide how hosts are shared, can be set anew while a fetch is under way.
        """
        names = ("by_host", "num_ranges", "num_owners", "connections", "connections_of_others")
        return msgspec.structs.replace(self, **{name: getattr(earlier, name) for name in names})

    def slow_hosts_of(self, rows: pl.DataFrame) -> pl.Series:
        """Return the host of each row that is tried, if it is in one of the slow cells."""
        if not self.slow_cells:
            return pl.Series(dtype=pl.String)
        if self.first_untried:
            rows = rows.filter(pl.col("image_key") < self.first_untried)
        is_slow = np.isin(cells_of(rows["image_url"], by_host=True), self.slow_cells)
        return hosts_of(rows["image_url"].filter(pl.Series(is_slow)))

    def owners_of(self, host: str) -> int:
        """Return how many workers a host's images are shared among."""
        owners = self.num_owners.get(hash64(host) // 2 % NUM_CELLS, 1)
        names = (name for name in names_for(host) if name in self.connections)
        name = next(names, None)
        return min(owners, self.connections_of_others if name is None else self.connections[name])

    def ranges_of(self, rows: pl.DataFrame) -> Numbers:
        """Return the number of each row's range; rows have `image_url` and `image_key`."""
        cells = cells_of(rows["image_url"], by_host=self.by_host)
        owners = self._owners[cells]
        if (shared := owners > 1).any():
            hosts = hosts_of(rows["image_url"].filter(pl.Series(shared)))
            by_host = {host: self.owners_of(host) for host in hosts.unique()}
            owners[shared] = hosts.replace_strict(by_host, return_dtype=pl.Int64).to_numpy()
        # With one owner the part is 0. The parts of a host are in as many buckets.
        parts = _hashes(rows["image_url"]) % owners
        buckets = (cells + parts) % self.num_buckets
        keys = rows["image_key"].str.slice(0, _KEY_CHARS).str.to_integer(base=16).to_numpy()
        within = (keys * np.asarray(self.num_ranges)[buckets]) >> _KEY_BITS
        return self.first_ranges[buckets] + within


def cells_of(urls: pl.Series, *, by_host: bool) -> Numbers:
    """Return the cell of each image."""
    return _hashes(hosts_of(urls) if by_host else urls) % NUM_CELLS


def _hashes(texts: pl.Series) -> Numbers:
    # Halved, so that remainders are those of numbers that are not negative.
    named = texts.rename("text").to_frame()
    return named.select((hash64_expr("text") // 2).cast(pl.Int64)).to_series().to_numpy()


def count_cells(batch: pa.RecordBatch, *, by_host: bool) -> Numbers:
    """Return how many rows of a batch fall into each cell."""
    cells = cells_of(pl.Series(batch.column("image_url")), by_host=by_host)
    return np.bincount(cells, minlength=NUM_CELLS)


def count_keys(batch: pa.RecordBatch) -> Numbers:
    """Return how many rows of a batch have an image key that begins with each number."""
    keys = [int(image_key(url)[:_KEY_CHARS], 16) for url in batch.column("image_url").to_pylist()]
    return np.bincount(np.array(keys, np.int64) >> _KEY_SHIFT, minlength=NUM_CELLS)


def first_untried(key_counts: Numbers, limit: int) -> tuple[str, int]:
    """Return the key from which on images are not tried, so that at most `limit` rows are.

    The second is how many rows are tried.
    """
    num_rows = np.cumsum(key_counts)
    num_cells = int(np.searchsorted(num_rows, limit, side="right"))
    key = "" if num_cells == NUM_CELLS else f"{num_cells << _KEY_SHIFT:0{_KEY_CHARS}x}"
    return key, int(num_rows[num_cells - 1]) if num_cells else 0


def plan_work(
    counts: Numbers,
    *,
    num_buckets: int,
    web: WebConfig | None,
    large_host: int,
    first_untried: str = "",
    num_tried: int = 0,
    slow_host: int | None = None,
) -> WorkPlan:
    """Return the plan for candidates that were counted by cell.

    A host with more than `large_host` candidates has several owners, at most as many as
    connections. One with more than `slow_host` may be slow. `web` says how hosts are asked, and is
    None where none is.
    """
    owners = np.ones(NUM_CELLS, np.int64)
    connections, others = dict[str, int](), 1
    if web is not None:
        others = web.connections_per_host
        named = {name: host.connections_per_host for name, host in web.hosts.items()}
        connections = {name: number for name, number in named.items() if number is not None}
        most = min(num_buckets, max(others, *connections.values(), 1))
        owners = np.clip(-(-counts // large_host), 1, most)
    num_rows = np.zeros(num_buckets, np.int64)
    for part in range(int(owners.max())):
        [cells] = np.nonzero(owners > part)
        # As many as if hosts that no setting names have all of them; ranges need no exact number.
        parts = np.minimum(owners[cells], others)
        np.add.at(num_rows, (cells + part) % num_buckets, -(-counts[cells] // parts))
    [shared] = np.nonzero(owners > 1)
    return WorkPlan(
        by_host=web is not None,
        num_ranges=[max(1, math.ceil(n / RANGE_ROWS)) for n in num_rows.tolist()],
        num_owners=dict(zip(shared.tolist(), owners[shared].tolist(), strict=True)),
        connections=connections,
        connections_of_others=others,
        first_untried=first_untried,
        num_tried=num_tried,
        slow_cells=[] if slow_host is None else np.flatnonzero(counts > slow_host).tolist(),
    )


def with_image_keys(batch: pa.RecordBatch) -> pl.DataFrame:
    """Return a batch's rows with a column `image_key`."""
    rows = pl.DataFrame(batch)
    keys = [image_key(url) for url in rows["image_url"]]
    return rows.with_columns(image_key=pl.Series(keys, dtype=pl.String))


_PLAN = msgspec.json.Decoder(WorkPlan)


def write_plan(url: str, plan: WorkPlan) -> None:
    """Write a plan down for the workers."""
    storage.write_text(url, canonical_json(plan))


def read_plan(url: str) -> WorkPlan:
    """Return the plan that `write_plan` wrote."""
    return _PLAN.decode(storage.read_bytes(url))
