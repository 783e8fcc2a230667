"""Starts the ranks of a training run on this machine, through DeepSpeed's launcher."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.names import RUN_LOG
from openalign.progress import REPORTS_TO, Bar, read_record
from openalign.telemetry import PROCESS_BEGAN, JsonLines, say
from openalign.train import guard
from openalign.train.local_ranks import (
    count_gpus,
    free_port,
    is_rank,
    num_local_ranks,
    orderly_end,
)
from openalign.train.stopping import BEGAN, SIGNALS, STOPPED, Stopping

RANK_MODULE = "openalign.train.rank"
VISIBLE_GPUS = "OPENALIGN_VISIBLE_GPUS"
"""What CUDA_VISIBLE_DEVICES is for the starter.

DeepSpeed's launcher counts from 0 for its ranks, and so gives them GPUs that the user has hidden.
"""

_ERROR, _HINT = "error: ", "hint: "
"""What the lines begin with that a rank ends with (`stage_spec.main_of_rank`)."""

_LAUNCHERS_OWN = "sigkill_handler]"
"""What stands in DeepSpeed's line about a rank that failed: its command and its exit code."""

_STOPS = "train     stops once it has saved a checkpoint"

_STOP = "s"
"""What asks the ranks to stop: `end_with_starter` hears it."""

_KILLED = 256 - signal.SIGKILL
"""What DeepSpeed's launcher ends with where a rank was killed so."""


def launch(
    argv: Sequence[str],
    *,
    num_processes: int,
    folders: Sequence[str],
    stop: Stopping,
    environment: Mapping[str, str] | None = None,
    module: str = RANK_MODULE,
) -> None:
    """Run `python -m MODULE ARGV` as ranks and wait for them; `num_processes` 0: one a GPU.

    Where there are GPUs, each rank has one to itself, so no more ranks than GPUs are started.

    Messages of the ranks are passed on. The ranks end with this process: when it is interrupted or
    gets SIGTERM or SIGUSR1 it asks them to save and stop, and kills those that have not done so in
    the time that `stop` gives them; when it is killed they notice. The number of ranks and their
    exit code are noted in the first of `folders` that exists once they have ended.

    Raises:
        SystemExit: this process was asked to stop, or the ranks were, or their time was up; the
            code is 143, or 130 where this process was interrupted and the ranks have saved.
        KeyboardInterrupt: this process was interrupted, and the ranks have not saved.
        StageError: this process is a rank itself, the environment is refused (`guard`), or the
            ranks failed; what they ended with is in the error.
    """
    if is_rank():
        raise StageError(
            "this process is one of several ranks and cannot start others",
            hint="under torchrun or Kubernetes run `openalign train`, once the stages "
            "before it are complete",
        )
    num_gpus = count_gpus()
    guard.check_environment(on_cpu=not num_gpus)
    count = num_local_ranks(num_processes, num_gpus=num_gpus, stage="train")
    say(f"train     starts {count} rank{'s' * (count > 1)} under DeepSpeed")
    said, asked = _Messages(), _Asked(stop)
    command = _command(argv, count=count, module=module)
    with orderly_end(_STOPS, SIGNALS, heard=asked.hear):
        process = _started(command, _environment(count, num_gpus, environment or {}))
        try:
            code = _wait(process, said, asked)
        except KeyboardInterrupt:
            if process.returncode != STOPPED:
                raise
            # The ranks have said where the run goes on, which need not be said twice.
            raise SystemExit(128 + signal.SIGINT) from None
    _note(folders, count, code)
    if code in (0, STOPPED):
        said.let_go()  # it was no error
    if code == STOPPED:
        raise SystemExit(STOPPED)
    if code != 0:
        raise said.error_of(code)


class _Patience(NamedTuple):
    """What ranks are given to save."""

    setting: str
    seconds: float
    since: float

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.since + self.seconds


class _Asked:
    """The signals that have asked this process to stop."""

    def __init__(self, stop: Stopping) -> None:
        self._stop = stop
        self._heard: dict[int, float] = {}

    def hear(self, number: int) -> None:
        """Note when a signal came first."""
        self._heard.setdefault(number, time.monotonic())

    def patience(self, *, since: float) -> _Patience:
        """Return what counts by now; `since` is when the ranks were told.

        SIGUSR1 comes long before the end. From SIGTERM on it is the grace: the scheduler kills.
        """
        heard = self._heard
        if signal.SIGUSR1 in heard and signal.SIGTERM not in heard:
            return _Patience("lead_seconds", self._stop.lead_seconds, heard[signal.SIGUSR1])
        since = heard.get(signal.SIGTERM, since)
        return _Patience("grace_seconds", self._stop.grace_seconds, since)


class _Messages:
    """Passes messages of ranks on as they come, but for the error that each of them ends with.

    The error goes into that of the starter: people read it once, whatever the number of ranks.
    Its further lines are indented (`stage_spec.main_of_rank`).
    """

    def __init__(self) -> None:
        self._last: list[str] = []
        """Errors and hints, each with its further lines."""

        self._in_error = False

    def take(self, line: str) -> None:
        """Pass a line on, or keep it where it may be of an error that a rank ends with."""
        begins = line.startswith(_ERROR) or (self._in_error and line.startswith(_HINT))
        is_more = self._in_error and line.startswith((" ", "\t", "\n"))
        self._in_error = begins or is_more
        if begins:
            self._last.append(line)
        elif is_more:
            self._last[-1] += line
        elif _LAUNCHERS_OWN not in line:
            sys.stderr.write(line)
            sys.stderr.flush()

    def let_go(self) -> None:
        """Pass on what is kept."""
        sys.stderr.write("".join(self._last))
        sys.stderr.flush()
        self._last.clear()
        self._in_error = False  # what comes of it still is passed on

    def error_of(self, code: int) -> StageError:
        """Return the error that ranks ended with; where they told of none, what can be done."""
        errors, hints = self._of(_ERROR), self._of(_HINT)
        if errors:
            return StageError("\n".join(errors), hint="; ".join(hints) or None)
        if code == _KILLED:
            return StageError(
                "training ended: a rank was killed by SIGKILL, and the others, whose messages "
                "stand above, lost it",
                hint="the system ends a process so when memory runs out: a smaller "
                "`train.block_size` needs less and makes another model, fewer ranks on a machine "
                "need less and do not; the same command goes on from the newest checkpoint",
            )
        return StageError(
            f"training ended with code {code}; its last messages stand above",
            hint="mend what they name; the same command goes on from the newest checkpoint",
        )

    def _of(self, beginning: str) -> list[str]:
        found = (each for each in self._last if each.startswith(beginning))
        return list(dict.fromkeys(each[len(beginning) :].strip() for each in found))


def _command(argv: Sequence[str], *, count: int, module: str) -> list[str]:
    """Return the command of DeepSpeed's launcher for one machine.

    `deepspeed.launcher.runner` would come to the same one, after it has imported torch for
    nothing (4 s) and looked for other machines in `/job/hostfile`.
    """
    world = json.dumps({"localhost": list(range(count))})
    command = [sys.executable, "-m", "deepspeed.launcher.launch", "--quiet", "--no_local_rank"]
    command += ["--world_info", base64.urlsafe_b64encode(world.encode()).decode()]
    command += ["--master_addr", "127.0.0.1", "--master_port", str(free_port())]
    return [*command, "--module", module, *argv]


def _started(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  # our own command line
        command,
        env=environment,
        stdin=subprocess.PIPE,  # held open for `end_with_starter`
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that the whole group can be stopped, and nothing else
    )


def _wait(process: subprocess.Popen[str], said: _Messages, asked: _Asked) -> int:
    """Return the exit code of the launcher, which does not outlive this."""
    try:
        _pass_on(process, said)
        return process.wait()
    except KeyboardInterrupt:
        say(_STOPS)
        raise
    finally:
        _stop(process, said, asked)


def _pass_on(process: subprocess.Popen[str], said: _Messages) -> None:
    bar: Bar | None = None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            record = read_record(line)
            if record is not None:
                bar = bar or Bar("train", record.total)
                bar.show(record.done, record.text)
                continue
            said.take(line)
    finally:
        if bar is not None:
            bar.close()


def _environment(count: int, num_gpus: int, added: Mapping[str, str]) -> dict[str, str]:
    threads = max(1, len(os.sched_getaffinity(0)) // count)
    environment = {
        **({} if num_gpus else {"DS_ACCELERATOR": "cpu"}),  # else it looks for GPUs, and warns
        "OMP_NUM_THREADS": str(threads),  # else every rank takes all cores
        "PYTHONUNBUFFERED": "1",
        **os.environ,
        **added,
        BEGAN: str(PROCESS_BEGAN),
    }
    for name in (VISIBLE_GPUS, "OMPI_COMM_WORLD_LOCAL_RANK"):  # the latter is the starter's own
        environment.pop(name, None)
    visible = environment.pop("CUDA_VISIBLE_DEVICES", None)  # else the launcher says it ignores it
    if visible is not None:
        environment[VISIBLE_GPUS] = visible
    if sys.stderr.isatty():
        environment[REPORTS_TO] = "1"
    return environment


def _stop(process: subprocess.Popen[str], said: _Messages, asked: _Asked) -> None:
    """End the launcher and its ranks where they still run: they may save first, then SIGKILL."""
    if process.poll() is None:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # no rank is left to hear it
            process.stdin.write(_STOP)
            process.stdin.flush()
        passing = threading.Thread(target=_pass_on, args=(process, said), daemon=True)
        passing.start()  # a rank that cannot say why it stops would not stop
        told = time.monotonic()
        while not (patience := asked.patience(since=told)).is_over and process.poll() is None:
            time.sleep(0.05)
        if process.poll() is None:
            say(
                f"train     is killed: its ranks have not ended within {patience.seconds:g} s "
                f"(`train.stop.{patience.setting}`); the same command goes on from the newest "
                "checkpoint"
            )
        said.let_go()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _note(folders: Sequence[str], count: int, code: int) -> None:
    for folder in folders:
        if storage.is_local(folder) and storage.exists(folder):
            log = JsonLines(storage.local_path(storage.join(folder, RUN_LOG)))
            log.write(ranks=count, ended_with=code)
            return
