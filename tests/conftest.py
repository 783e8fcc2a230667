"""What tests of several folders share."""

import signal
from pathlib import Path

import clean_environment as environments
import pytest


def pytest_configure() -> None:
    """Let tests interrupt what they start, also where a shell started them in the background.

    There SIGINT is ignored, and so it would be in every process of theirs.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that holds only the wheel and its `ingest` extra."""
    return environments.make(tmp_path_factory.mktemp("clean"), extra="ingest")
