"""Hosts that take more than an hour, told before they are asked.

Candidates are counted exactly, host by host, where a cell has so many that one of its hosts may be
slow. A host's robots.txt is not known yet; a Crawl-delay makes it slower.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from openalign.amounts import time_in_words
from openalign.engines.parts import Summary
from openalign.engines.tallies import MergeTallies, Tally, shown
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.host_limits import LimitsByHost

NUM_NAMED = 20
"""Slow hosts that are named."""

HOSTS = "hosts"
"""The tally of candidates by host."""

_AN_HOUR = 3600.0

_SETTING = "web.hosts"


class SlowHost(NamedTuple):
    """A host, and how long it takes."""

    seconds: float
    host: str
    num_rows: int
    requests_per_second: float
    host_seconds: float | None = None
    """What the setting of this name leaves it of the time, in each bucket that has images of it."""

    @property
    def words(self) -> str:
        """How long it takes, and at which rate."""
        took = f"{time_in_words(self.seconds)} at {self.requests_per_second:g} requests a second"
        if self.host_seconds is None or self.host_seconds >= self.seconds:
            return took
        return f"{took}; `host_seconds` ends it after {time_in_words(self.host_seconds)}"


def _add_rows(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("host").agg(pl.col("rows").sum())


def _all_rows(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("host")


TALLIES = {HOSTS: Tally("host", _add_rows, _all_rows)}


def merged_hosts() -> MergeTallies:
    """Return the transform that adds up the candidates of hosts."""
    return MergeTallies(TALLIES)


def count_hosts(hosts: pl.Series) -> pl.DataFrame:
    """Return how many candidates each host has."""
    one = pl.lit(1, pl.Int64)
    return _add_rows(hosts.to_frame("host").with_columns(rows=one))


def rows_in_an_hour(web: WebConfig) -> int:
    """Return how many candidates of a host are fetched in an hour, of the slowest that there is."""
    rates = (host.requests_per_second or math.inf for host in web.hosts.values())
    return math.floor(_AN_HOUR * min(web.requests_per_second, *rates, math.inf))


def slow_hosts(summary: Summary, web: WebConfig) -> list[SlowHost]:
    """Return the hosts in a finished job's tallies that take more than an hour, longest first."""
    limits = LimitsByHost(web)
    found = [
        SlowHost(row["rows"] / rate, row["host"], row["rows"], rate, given.host_seconds)
        for row in shown(summary, TALLIES)[HOSTS]
        for given in [limits.of(row["host"])]
        for rate in [given.requests_per_second]
    ]
    slow = [host for host in found if host.seconds > _AN_HOUR]
    return sorted(slow, key=lambda host: (-host.seconds, host.host))


def lines_about(hosts: Sequence[SlowHost]) -> list[str]:
    """Return what is said about slow hosts; nothing where there are none."""
    if not hosts:
        return []
    width = max(len(host.host) for host in hosts[:NUM_NAMED])
    count = "1 host takes" if len(hosts) == 1 else f"{len(hosts):,} hosts take"
    where = f"`{_SETTING}` raises the rate where you may"
    lines = [f"{count} more than an hour, and longer with a Crawl-delay; {where}"]
    lines += [
        f"{each.host:{width}}  {each.num_rows:,} candidates, {each.words}"
        for each in hosts[:NUM_NAMED]
    ]
    if len(hosts) > NUM_NAMED:
        lines.append(f"and {len(hosts) - NUM_NAMED:,} more")
    return lines
