"""A finished run that the tests of this folder look at and do not change."""

from pathlib import Path

import pytest
from small_run import VERBS, run_here, site_served, write


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run harvest, filter, fetch and select in memory; return the run's pipelines.yaml."""
    config = write(tmp_path_factory.mktemp("finished"))
    with site_served(config) as reached:
        for verb in VERBS:
            assert run_here(config, verb, settings=[reached]) == 0
    return config
