"""Kills harvests with kill -9 at random moments, goes on, and compares bytes: `make kill`.

Each round harvests a source in a folder of its own, is killed once or several times, and is then
left to end. What lies in `candidates/` must be, byte for byte, what a harvest left alone wrote, and
nothing unfinished may lie beside it. Moments are drawn from a seed, as shares of the time that the
harvest left alone took.
"""

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from archives_made import broken, gz, page, wat
from faulty_web import HOST, SITE, Reply, Web, serve
from own_images import image_bytes, write_img2dataset

_HTML = [("Content-Type", "text/html")]
_MOST_KILLS = 3
_NUM_PAGES = 150
_NUM_RECORDS = 2000
ENDS = (0, 3)
"""Exit codes of a harvest that is complete; 3 where a file of the source is damaged."""

_BESIDE = {"candidates", "run.jsonl", ".hashes", ".lock-candidates"}
"""What a run leaves in its root."""

MakeSource = Callable[[Path], Mapping[str, Any]]
"""Writes a source's input into a folder and returns its settings."""


def make_site(_: Path) -> Mapping[str, Any]:
    """Return a crawl of the site that `routes` describes."""
    return {"kind": "site", "seeds": [f"{SITE}/"], "exclude": ["/login"]}


def make_table(folder: Path) -> Mapping[str, Any]:
    """Write a table of three files, with duplicates and broken rows."""
    for number in range(3):
        urls = [f"{SITE}/{n}.png" for n in range(number * 500, number * 500 + 1000)]
        captions = [f"cat {n % 400}" if n % 7 else "" for n in range(1000)]
        pl.DataFrame({"url": [*urls, "nonsense"], "caption": [*captions, "a cat"]}).write_parquet(
            folder / f"{number}.parquet"
        )
    return {"kind": "table", "path": str(folder)}


def make_warc(folder: Path) -> Mapping[str, Any]:
    """Write three archives of many pages, one of which is cut short."""
    for number in range(3):
        pages = [
            page(f"<img src=/{n % 90}.png alt='cat {n % 400}'>" * 3, url=f"{SITE}/{number}/{n}")
            for n in range(_NUM_RECORDS)
        ]
        content = gz(*pages)
        (folder / f"{number}.warc.gz").write_bytes(content[:-9] if number == 1 else content)
    return {"kind": "warc", "path": str(folder)}


def make_wat(folder: Path) -> Mapping[str, Any]:
    """Write three archives of metadata, with a bad record in each."""
    for number in range(3):
        told = [
            wat(
                [{"path": "IMG@/src", "url": f"/{n % 90}.png", "alt": f"cat {n % 400}"}],
                url=f"{SITE}/{number}/{n}",
            )
            for n in range(_NUM_RECORDS)
        ]
        content = gz(*told[:9]) + broken(gz(told[9])) + gz(*told[10:])
        (folder / f"{number}.wat.gz").write_bytes(content)
    return {"kind": "wat", "path": str(folder)}


def make_tars(folder: Path) -> Mapping[str, Any]:
    """Write three tars as img2dataset does, with images that two of them hold."""
    for number in range(3):
        write_img2dataset(folder, number, range(number * 10, number * 10 + 20))
    return {"kind": "tars", "path": str(folder)}


def make_local_files(folder: Path) -> Mapping[str, Any]:
    """Write a folder of images, some of them equal, with a text beside each but a few."""
    for number in range(200):
        below = folder / str(number % 3)
        below.mkdir(exist_ok=True)
        (below / f"{number}.jpg").write_bytes(image_bytes(number % 45))
        if number % 7:
            (below / f"{number}.txt").write_text(f"a red bar number {number % 60}")
    return {"kind": "local_files", "path": str(folder)}


SOURCES: dict[str, MakeSource] = {
    "site": make_site,
    "table": make_table,
    "warc": make_warc,
    "wat": make_wat,
    "tars": make_tars,
    "local_files": make_local_files,
}
"""A line a source."""


def routes() -> dict[str, Any]:
    """Return a site of some chunks of pages, and a sitemap."""
    links = "".join(f"<a href=/{n:03d}>x</a>" for n in range(_NUM_PAGES))
    bodies = (
        f"<img src={n % 90}.png alt='cat {n % 90}'><img src=x.png><a href=/login>"
        for n in range(_NUM_PAGES)
    )
    pages = {f"/{n:03d}": Reply(body=body.encode(), headers=_HTML) for n, body in enumerate(bodies)}
    sitemap = f"<urlset><url><loc>{SITE}/149</loc></url><url><loc>{SITE}/gone</loc></url></urlset>"
    return {
        "/": Reply(body=links.encode(), headers=_HTML),
        "/sitemap.xml": Reply(body=sitemap.encode()),
        **pages,
    }


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """Rounds of one source."""

    name: str
    work: Path
    settings: Mapping[str, Any]

    def run(self, num_rounds: int, *, seed: int, say: Callable[[str], None]) -> list[str]:
        """Return what went wrong, a line each; nothing, if the product is right."""
        random_of = random.Random(f"{seed} {self.name}")
        self._harvest(self.work / "first")  # it reads libraries from the disk, and takes longer
        started = time.monotonic()
        self._harvest(self.work / "whole")
        seconds = time.monotonic() - started
        expected = _bytes_below(self.work / "whole" / "candidates")
        problems: list[str] = []
        for number in range(num_rounds):
            root = self.work / f"round-{number}"
            killed = 0
            for _ in range(random_of.randint(1, _MOST_KILLS)):
                # Late moments more often than early ones, at which nothing is there yet.
                share = math.sqrt(random_of.random())
                killed += self._kill(root, after_seconds=seconds * share)
            self._harvest(root)
            found = _bytes_below(root / "candidates")
            differ = sorted(n for n in found | expected if found.get(n) != expected.get(n))
            left = sorted({path.name for path in root.iterdir()} - _BESIDE)
            if differ or left:
                problems.append(f"{self.name}, round {number}: differ {differ}, left {left}")
            say(f"{self.name:11} round {number}: killed {killed} times, {len(differ)} files differ")
        return problems

    def _harvest(self, root: Path) -> None:
        process = self._start(root)
        _, said = process.communicate()
        assert process.returncode in ENDS, said

    def _kill(self, root: Path, *, after_seconds: float) -> int:
        """Start a harvest and kill it; return 0 if it had ended before."""
        process = self._start(root)
        try:
            process.communicate(timeout=after_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return 1
        return 0

    def _start(self, root: Path) -> "subprocess.Popen[str]":
        path = self.work / "pipelines.json"  # JSON is YAML
        path.write_text(json.dumps({"p": self.settings}))
        words = ["harvest", "p", "--config", str(path), "--set", f"root={root}"]
        return subprocess.Popen(
            [sys.executable, "-m", "openalign", *words],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def rounds_of(name: str, work: Path, web: Web) -> Rounds:
    """Return the rounds of a source, with its input written."""
    given = work / "in"
    given.mkdir(parents=True)
    asked = {
        "contact": "test@example.org",
        "requests_per_second": 1000.0,
        "allowed_networks": ["127.0.0.0/8"],
        "connect_to": {HOST: web.address},
    }
    source = dict(SOURCES[name](given))
    settings = {"harvest": {"source": source, "web": asked, "num_files": 3}}
    return Rounds(name=name, work=work, settings=settings)


def _bytes_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main() -> int:
    """Run the rounds of every source, or of those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", default=list(SOURCES), help="which sources")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as work, serve(routes()) as web:
        for name in options.sources:
            rounds = rounds_of(name, Path(work) / name, web)
            say = partial(print, flush=True)
            problems += rounds.run(options.rounds, seed=options.seed, say=say)
    print("\n".join(problems) or "every round gave the same bytes")  # noqa: T201  # a script
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
