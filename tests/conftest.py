"""What tests of several folders share."""

import os
import signal
from collections import Counter
from pathlib import Path

import clean_environment as environments
import pytest

_VISIBLE_GPUS = pytest.StashKey[str | None]()


def pytest_configure(config: pytest.Config) -> None:
    """Let tests interrupt what they start, and have them run on CPUs wherever they run.

    In the background of a shell SIGINT is ignored, and so it would be in every process of theirs.
    On a GPU two ranks would need two, and sums have another order; tests marked `gpu` ask for it.
    The process that starts such processes leaves the environment to them.
    """
    if _hands_out(config):
        return
    config.stash[_VISIBLE_GPUS] = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _hands_out(config: pytest.Config) -> bool:
    """Tell whether this is the process from which pytest-xdist starts those that run tests."""
    return bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where processes share the files out, begin with the slow ones, or one may end long after all.

    `--no-loadscope-reorder` keeps this order.
    """
    if hasattr(config, "workerinput"):
        num_slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -num_slow[item.path])


@pytest.fixture
def with_gpus(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test see the GPUs that pytest was started with."""
    visible = pytestconfig.stash[_VISIBLE_GPUS]
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


@pytest.fixture(scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that holds only the wheel and its `ingest` extra."""
    return environments.make(tmp_path_factory.mktemp("clean"), extra="ingest")
