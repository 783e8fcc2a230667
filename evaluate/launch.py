"""Starts the ranks of an evaluation on this machine, and watches them.

Each rank has a log of its own. The messages of rank 0 are passed on, and on a terminal one bar
shows the progress of all.
"""

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from openalign.errors import StageError
from openalign.files import storage
from openalign.progress import REPORTS_TO, Bar, ProgressRecord, read_record
from openalign.telemetry import say
from openalign.train.local_ranks import (
    count_gpus,
    free_port,
    is_rank,
    num_local_ranks,
    orderly_end,
    rank_environment,
)
from openalign.train.stopping import SIGNALS, STOPPED

RANK_MODULE = "openalign.evaluate.rank"

STOPS = "evaluate  stops; the same command goes on from there"
"""What is said on SIGTERM and SIGUSR1."""

_TAIL_LINES = 15
_SECONDS_TO_STOP = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rank:
    """A rank that was started."""

    number: int
    process: subprocess.Popen[str]
    log: Path
    tail: deque[str] = field(default_factory=lambda: deque[str](maxlen=_TAIL_LINES))
    """Its last lines."""


def num_ranks(num_processes: int) -> int:
    """Return how many ranks an evaluation has on this machine; 0 asks for one a GPU."""
    if num_processes == 1:
        return 1  # whether or not there is a GPU
    return num_local_ranks(num_processes, num_gpus=count_gpus(), stage="evaluate")


def launch(
    argv: Sequence[str],
    *,
    count: int,
    work: str,
    module: str = RANK_MODULE,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run `python -m MODULE ARGV` as `count` ranks and wait for them.

    The ranks end with this process: when it is interrupted or gets SIGTERM or SIGUSR1 it ends them
    and waits 20 s at most, so that what trains can save; when it is killed they notice. The first
    rank that fails ends the others. Logs lie in `work` where it is local, and else in a folder of
    this machine that is removed when all goes well.

    Raises:
        SystemExit: this process got either, or a rank did and told the others; the code is 143.
        StageError: this process is a rank itself, or a rank failed: which, how it ended, and where
            its log lies.
    """
    if is_rank():
        raise StageError(
            "this process is one of several ranks and cannot start others",
            hint="under torchrun or Kubernetes the ranks that are there share the work",
        )
    logs = _log_folder(work)
    port = free_port()
    say(f"evaluate  starts {count} ranks; their logs are in {logs}")
    ended: queue.Queue[_Rank] = queue.Queue()
    failed: _Rank | None = None
    with orderly_end(STOPS, SIGNALS), ExitStack() as held:
        progress = held.enter_context(closing(_ProgressOfRanks(count)))
        started: list[tuple[_Rank, threading.Thread]] = []
        held.callback(_end, started)
        for number in range(count):
            of_rank = {**(environment or {}), **rank_environment(number, count, port)}
            rank = _start([module, *argv], number, logs, of_rank)
            reader = threading.Thread(target=_read, args=(rank, progress, ended), daemon=True)
            # Before the reader starts: an interrupt may come at any time.
            started.append((rank, reader))
            reader.start()
        failed = _first_failure(ended, count)
    if failed is not None and failed.process.returncode == STOPPED:
        raise SystemExit(STOPPED)  # it was asked to stop itself, and told the others
    if failed is not None:
        raise _error_of(failed, count)
    if not storage.is_local(work):
        storage.remove(str(logs))


def _start(
    arguments: Sequence[str], number: int, logs: Path, environment: Mapping[str, str]
) -> _Rank:
    reports = {REPORTS_TO: "1"} if sys.stderr.isatty() else {}
    process = subprocess.Popen(  # noqa: S603  # our own command line
        [sys.executable, "-m", *arguments],
        env={"PYTHONUNBUFFERED": "1", **os.environ, **reports, **environment},
        stdin=subprocess.PIPE,  # held open for `end_with_starter`
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # an interrupt at the terminal reaches the starter alone
    )
    return _Rank(number=number, process=process, log=logs / f"rank-{number}.log")


def _first_failure(ended: "queue.Queue[_Rank]", count: int) -> _Rank | None:
    """Wait until all ranks have ended well or one has not; return that one."""
    for _ in range(count):
        rank = ended.get()
        if rank.process.returncode != 0:
            return rank
    return None


def _read(rank: _Rank, progress: "_ProgressOfRanks", ended: "queue.Queue[_Rank]") -> None:
    """Keep a rank's messages, until it ends."""
    assert rank.process.stdout is not None
    try:
        with rank.process.stdout as said, rank.log.open("w", encoding="utf-8") as log:
            for line in said:
                record = read_record(line)
                if record is not None:
                    progress.show(rank.number, record)
                    continue
                rank.tail.append(line)
                log.write(line)
                log.flush()
                if rank.number == 0:
                    sys.stderr.write(line)
                    sys.stderr.flush()
    finally:
        rank.process.wait()
        ended.put(rank)


class _ProgressOfRanks:
    """One bar for all ranks."""

    def __init__(self, num_ranks: int) -> None:
        self._num_ranks = num_ranks
        self._records: dict[int, ProgressRecord] = {}
        self._bar: Bar | None = None
        self._begun = (0.0, 0)
        self._lock = threading.Lock()

    def show(self, rank: int, record: ProgressRecord) -> None:
        """Take in what a rank reports."""
        with self._lock:
            self._records[rank] = record
            if len(self._records) < self._num_ranks:
                return  # the total is not known yet
            done = sum(each.done for each in self._records.values())
            now = time.monotonic()
            if self._bar is None:
                self._bar = Bar("evaluate", sum(each.total for each in self._records.values()))
                self._begun = (now, done)
            seconds, since = now - self._begun[0], done - self._begun[1]
            self._bar.show(done, f"{since / seconds:,.0f}/s" if seconds else "")

    def close(self) -> None:
        """Take the bar away."""
        with self._lock:
            if self._bar is not None:
                self._bar.close()


def _end(started: Sequence[tuple[_Rank, threading.Thread]]) -> None:
    """End the ranks that still run, and wait for their last messages.

    All get SIGTERM before any is waited for: what they do first, such as to save a checkpoint, they
    may have to do together.
    """
    for rank, _ in started:
        if rank.process.poll() is None:
            rank.process.terminate()
    end = time.monotonic() + _SECONDS_TO_STOP
    for rank, reader in started:
        process = rank.process
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))
        process.kill()
        process.wait()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        if reader.ident is None:  # it was never started
            process.stdout.close()
        else:
            reader.join()


def _log_folder(work: str) -> Path:
    if not storage.is_local(work):
        return Path(tempfile.mkdtemp(prefix="openalign-ranks-"))
    folder = storage.local_path(work) / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _error_of(rank: _Rank, count: int) -> StageError:
    code = rank.process.returncode
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    said = "" if rank.number == 0 else f"; its last lines were:\n\n{''.join(rank.tail)}"
    hint = "mend what its messages name; the same command goes on from there"
    if code == -signal.SIGKILL:
        hint = (
            "the system ends a process so when memory runs out: a smaller `evaluate.batch_size` or "
            "fewer processes need less; the same command goes on from there"
        )
    return StageError(
        f"rank {rank.number} of {count} {how}; its log is {rank.log}{said}", hint=hint
    )
