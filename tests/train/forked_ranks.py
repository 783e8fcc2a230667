"""Ranks that begin as copies of a process that has imported torch, DeepSpeed and transformers.

The imports take several times as long as a tiny training. Unlike ranks that are started anew, the
copies of one process hash strings alike and do not run what waits for an interpreter's end: what
may depend on that is tested with `tiny_training.start_new_ranks`, with launchers and commands.
"""

import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.util import Finalize
from pathlib import Path
from unittest import mock

import numpy as np

_IMPORTED = [
    "deepspeed.runtime.engine",
    "deepspeed.runtime.zero.muon.muon_optimizer",  # when an engine is made
    "transformers.models.align.modeling_align",
]
"""Nothing that starts a thread, as Polars does: a copy would lack it."""

_AT_EXIT = 100
"""Above 0, so that it comes before `multiprocessing` waits for those that still run."""


class ForkedRank:
    """One rank, with what tests ask of `subprocess.Popen`."""

    def __init__(self, job: Path, environment: Mapping[str, str], *, said: Path) -> None:
        """Start it: it calls the pickled function with the pickled arguments; what it says is in
        the file `said`."""
        self._said = said
        self._process = _server().Process(target=_be_rank, args=(job, dict(environment), said))
        self._process.start()
        Finalize(None, self._process.kill, exitpriority=_AT_EXIT)  # where its test has failed

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
        said = self._said.read_text(errors="replace") if self._said.exists() else ""
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a rank", timeout or 0, output=said)
        return said, None


@cache
def _server() -> ForkServerContext:
    """Start what ranks are copies of; it ends with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    with mock.patch.dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join(sys.path)):
        forkserver.ensure_running()
    return context


def _be_rank(job: Path, environment: Mapping[str, str], said: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sink = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(sink, stream)
    np.random.seed()  # noqa: NPY002  # the copies' own
    function, arguments = pickle.loads(job.read_bytes())
    function(*arguments)
