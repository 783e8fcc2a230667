"""Starts the ranks of a training run on this machine, through DeepSpeed's launcher."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from openalign import storage
from openalign.errors import StageError
from openalign.telemetry import JsonLines, say
from openalign.train.journal import RECORD, REPORTS_TO, TIMES_FILE, Bar

_TAIL_LINES = 30
_SECONDS_TO_STOP = 20.0


def is_rank() -> bool:
    """Tell whether this process is a rank already, of Slurm, torchrun, Kubernetes or ours."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launch(
    argv: Sequence[str],
    *,
    num_processes: int,
    output: str,
    environment: Mapping[str, str] | None = None,
    module: str = "openalign",
) -> None:
    """Run `python -m MODULE ARGV` as several ranks and wait for them; 0 of them: by the machine.

    Their messages are passed on. When this process is interrupted, so are they.

    Raises:
        StageError: this process is a rank itself, or the ranks failed; the end of their messages
            is in the error.
    """
    if is_rank():
        raise StageError(
            "this process is one of several ranks and cannot start others",
            hint="under torchrun, Slurm or Kubernetes run `openalign train`, once the stages "
            "before it are complete",
        )
    count = num_processes or default_num_processes()
    command = [sys.executable, "-m", "deepspeed.launcher.runner", "--quiet", "--no_local_rank"]
    command += ["--num_gpus", str(count), "--master_addr", "127.0.0.1"]
    command += ["--master_port", str(_free_port()), "--module", module, *argv]
    say(f"train     starts {count} rank{'s' * (count > 1)} under DeepSpeed")
    process = subprocess.Popen(  # noqa: S603  # our own command line
        command,
        env=_environment(count, environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that the whole group can be stopped, and nothing else
    )
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    try:
        _pass_on(process, tail)
        code = process.wait()
    finally:
        _stop(process)
    _note(output, count, code)
    if code != 0:
        raise StageError(
            f"training ended with code {code}; its last lines were:\n\n{''.join(tail)}",
            hint="mend what they name; the same command goes on from the newest checkpoint",
        )


def default_num_processes() -> int:
    """Return one rank a GPU, or one where there is none."""
    if not _may_have_gpu():
        return 1
    import torch

    return max(1, torch.cuda.device_count())


def _may_have_gpu() -> bool:
    """Tell whether it is worth importing torch to count the GPUs."""
    return Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists()


def _pass_on(process: subprocess.Popen[str], tail: deque[str]) -> None:
    bar: Bar | None = None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith(RECORD):
                record = json.loads(line[1:])
                bar = bar or Bar(record["total"])
                bar.show(record["done"], record["text"])
                continue
            tail.append(line)
            sys.stderr.write(line)
            sys.stderr.flush()
    finally:
        if bar is not None:
            bar.close()


def _environment(count: int, added: Mapping[str, str]) -> dict[str, str]:
    threads = max(1, len(os.sched_getaffinity(0)) // count)
    environment = {
        **({} if _may_have_gpu() else {"DS_ACCELERATOR": "cpu"}),  # else it looks, and warns
        "OMP_NUM_THREADS": str(threads),  # else every rank takes all cores
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        **os.environ,
        **added,
    }
    if sys.stderr.isatty():
        environment[REPORTS_TO] = "1"
    return environment


def _stop(process: subprocess.Popen[str]) -> None:
    """End the launcher and its ranks, where they still run: first asked, then made to."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_STOP)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _note(output: str, count: int, code: int) -> None:
    if storage.is_local(output):
        log = JsonLines(storage.local_path(storage.join(output, TIMES_FILE)))
        log.write(ranks=count, ended_with=code)
