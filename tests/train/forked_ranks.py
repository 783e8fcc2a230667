"""Ranks that begin as copies of a process which has imported what training imports.

The imports take several times as long as a tiny training. They are processes like any others, with
their own environment; how a launcher or a command line starts ranks is tested with new ones.
"""

import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest import mock

_IMPORTED = [
    "openalign.train.rank",
    "openalign.train.result",
    "deepspeed.runtime.engine",
    "deepspeed.runtime.zero.muon.muon_optimizer",
]
"""They bring the rest. The last is what DeepSpeed imports when an engine is made."""


class ForkedRank:
    """One rank, with what tests ask of `subprocess.Popen`."""

    def __init__(self, job: Path, environment: Mapping[str, str]) -> None:
        """Start it: it calls the pickled function with the pickled arguments."""
        number, name = tempfile.mkstemp()
        os.close(number)
        self._said = Path(name)
        self._process = _server().Process(target=_be_rank, args=(job, dict(environment), name))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative where a signal ended it; None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for its end; return what it said.

        Raises:
            TimeoutExpired: it still runs.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self._said), timeout or 0)
        said = self._said.read_text(errors="replace")
        self._said.unlink()
        return said, None


@cache
def _server() -> ForkServerContext:
    """Start what ranks are copies of; it ends with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    with mock.patch.dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join(sys.path)):
        forkserver.ensure_running()
    return context


def _be_rank(job: Path, environment: Mapping[str, str], said: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sink = os.open(said, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(sink, stream)
    function, arguments = pickle.loads(job.read_bytes())
    function(*arguments)
