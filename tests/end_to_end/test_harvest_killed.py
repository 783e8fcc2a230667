"""A harvest that is killed with kill -9 at any moment; `make kill` runs a hundred rounds."""

from pathlib import Path

import pytest
from faulty_web import serve
from kill_rounds import SOURCES, rounds_of, routes


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_a_harvest_killed_at_any_moment_ends_with_the_same_bytes(
    source: str, tmp_path: Path
) -> None:
    said: list[str] = []
    with serve(routes()) as web:
        problems = rounds_of(source, tmp_path, web).run(1, seed=1, say=said.append)

    assert problems == []
    assert len(said) == 1
