"""Kills fetches of the hostile web with kill -9 at random moments: `make hostile`.

A fetch is killed, goes on, and is killed again, until it ends before the next kill. Its shards and
ledgers must then be, byte for byte, those of a fetch that was left alone, and every address must
have ended in the state that the table of cases says. On another day the hosts are well, and a round
(`--retry`), which is killed once too, must heal exactly what can heal. Then the next fetch begins,
until all kills are used up. Moments are drawn from a seed, as shares of the time that the fetch
left alone took.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import polars as pl

from openalign.files.facts import FetchFacts
from openalign.files.manifest import StageFolder
from openalign.files.tables import write_table
from openalign.hostile_web import pipeline
from openalign.hostile_web.cases import all_cases
from openalign.hostile_web.hostile_server import HostileWeb, serve

DAY, ROUND = "state", "state_after_round"
"""The columns of the candidates that say how they end: the first time, and after a round."""

_TABLE = "candidates.parquet"
_SETTINGS = "pipelines.json"


@dataclass(frozen=True)
class LeftAlone:
    """What a fetch gives that nobody kills."""

    root: Path
    seconds: float
    files: dict[str, bytes]
    files_after_round: dict[str, bytes]


@dataclass
class HostileRounds:
    """Fetches of one table of candidates, each in a root of its own."""

    web: HostileWeb
    work: Path
    num_per_case: int = 1
    images_per_shard: int = 100

    @cached_property
    def candidates(self) -> pl.DataFrame:
        """The table, once it is harvested and filtered in a root that all others are copied of."""
        table = pipeline.candidates(self.web, num_per_case=self.num_per_case)
        write_table(str(self.work), _TABLE, table)
        authority = self.work / "authority.pem"
        authority.write_bytes(self.web.authority)
        settings = pipeline.settings(
            self.web, table=str(self.work / _TABLE), ca_file=str(authority)
        )
        settings["fetch"]["images_per_shard"] = self.images_per_shard
        (self.work / _SETTINGS).write_text(json.dumps({pipeline.NAME: settings}))  # it is YAML
        for verb in ("harvest", "filter"):
            self._end(self._start(verb, self.work / "prepared"))
        return pl.DataFrame(table)

    @cached_property
    def left_alone(self) -> LeftAlone:
        """A fetch and a round that nobody kills."""
        root = self.new_root("left-alone")
        started = time.monotonic()
        self.fetch(root)
        seconds = time.monotonic() - started
        files = bytes_below(root / "shards")
        self.web.begin_day(is_another=True)
        self.fetch(root, "--retry")
        return LeftAlone(root, seconds, files, bytes_below(root / "shards"))

    def new_root(self, name: str) -> Path:
        """Return a new root whose candidates are ready to be fetched, and begin the first day."""
        assert len(self.candidates), "there is something to fetch"
        root = self.work / name
        shutil.copytree(self.work / "prepared", root)
        self.web.begin_day(is_another=False)
        return root

    def fetch(self, root: Path, *options: str) -> None:
        """Fetch to the end."""
        self._end(self._start("fetch", root, *options))

    def misjudged(self, root: Path, column: str) -> list[str]:
        """Return the addresses that did not end as a column of the candidates says, a line each."""
        ledgers = pl.read_parquet(f"{root}/shards/ledger-*.parquet")
        rows = self.candidates.join(
            ledgers.select("raw_image_url", "alt_text", "detail", found="state"),
            left_on=["url", "caption"],
            right_on=["raw_image_url", "alt_text"],
            how="full",
        ).filter(pl.col(column).ne_missing(pl.col("found")))
        columns = rows.select("url", column, "found", "detail").iter_rows()
        return [
            f"{url}: {state} was expected, and {end} ({why})" for url, state, end, why in columns
        ]

    def run(self, num_kills: int, *, seed: int, say: Callable[[str], None]) -> list[str]:
        """Return what went wrong, a line each; nothing, if the product is right."""
        draw, left_alone = random.Random(seed), self.left_alone
        problems = self.misjudged(left_alone.root, ROUND)
        say(f"{len(self.candidates)} addresses, {left_alone.seconds:.0f} s when left alone")
        num_killed = number = 0
        while num_killed < num_kills:
            root, before = self.new_root(f"killed-{number}"), num_killed
            while num_killed < num_kills and self._kill(root, draw.random() * left_alone.seconds):
                num_killed += 1
            self.fetch(root)
            found = self._faults(root, DAY, left_alone.files)
            self.web.begin_day(is_another=True)
            num_killed += self._kill(root, draw.random() * left_alone.seconds / 2, "--retry")
            self.fetch(root)  # it ends a round that was killed while it was added
            if not self._num_rounds(root):
                self.fetch(root, "--retry")
            found += self._faults(root, ROUND, left_alone.files_after_round)
            say(f"fetch {number}: killed {num_killed - before} times, {len(found)} faults")
            for fault in found:
                say(f"  {fault}")
            problems += found
            shutil.rmtree(root)
            number += 1
        return problems

    def _faults(self, root: Path, column: str, expected: dict[str, bytes]) -> list[str]:
        found = bytes_below(root / "shards")
        differ = sorted(n for n in found | expected if found.get(n) != expected.get(n))
        left = {path.name for path in root.iterdir()} - {
            path.name for path in self.left_alone.root.iterdir()
        }
        faults = [f"{name} differs" for name in differ] + [f"{name} is left" for name in left]
        for name in differ:
            if name.startswith("ledger-") and name in found and name in expected:
                faults += different_rows(expected[name], found[name])
        return faults + self.misjudged(root, column)

    def _num_rounds(self, root: Path) -> int:
        manifest = StageFolder(str(root), "shards").require()
        return len(manifest.facts_as(FetchFacts).rounds)

    def _kill(self, root: Path, seconds: float, *options: str) -> bool:
        """Fetch for so long, and kill it; tell whether it was still under way."""
        process = self._start("fetch", root, *options)
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True
        return False

    def _start(self, verb: str, root: Path, *options: str) -> "subprocess.Popen[str]":
        words = [verb, pipeline.NAME, "--config", str(self.work / _SETTINGS)]
        return subprocess.Popen(
            [sys.executable, "-m", "openalign", *words, "--set", f"root={root}", *options],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _end(self, process: "subprocess.Popen[str]") -> None:
        _, said = process.communicate()
        assert process.returncode == 0, said


def bytes_below(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their names."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def different_rows(expected: bytes, found: bytes) -> list[str]:
    """Return what differs between two ledgers, a line each."""
    one, other = (
        {row["key"]: row for row in pl.read_parquet(content).rows(named=True)}
        for content in (expected, found)
    )
    only = [
        f"{row['image_url']}: {row['state']} ({row['detail']}) is only where it was "
        f"{'left alone' if key in one else 'killed'}"
        for key, row in (one | other).items()
        if (key in one) != (key in other)
    ]
    return only + [
        f"{row['image_url']}: {column} is {other[key][column]}, not {row[column]}"
        for key, row in one.items()
        if key in other
        for column in row
        if row[column] != other[key][column]
    ]


def per_case(num_addresses: int) -> int:
    """Return how many addresses a case needs, where it can have them, for so many in all."""
    cases, num = all_cases(), 1
    while sum(num + case.num_urls(num) for case in cases) < num_addresses:
        num += 1
    return num


def main() -> int:
    """Kill fetches, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="how often a fetch is killed")
    parser.add_argument("--addresses", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, serve(all_cases()) as web:
        num = per_case(options.addresses)
        rounds = HostileRounds(web, Path(work), num_per_case=num, images_per_shard=500)
        problems = rounds.run(options.rounds, seed=options.seed, say=partial(print, flush=True))
        for column in (DAY, ROUND):
            print(column, dict(Counter(rounds.candidates[column]).most_common()))  # noqa: T201
    verdict = (
        f"{len(problems)} faults"
        if problems
        else "every fetch gave the same bytes and the right states"
    )
    print(verdict)  # noqa: T201
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
