"""What tests of several folders share."""

from pathlib import Path

import clean_environment as environments
import pytest


@pytest.fixture(scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that holds only the wheel and its `ingest` extra."""
    return environments.make(tmp_path_factory.mktemp("clean"), extra="ingest")
