"""A run one of whose ranks has a read that never comes back."""

import os
import re
from pathlib import Path

import pytest
import run_checks
from tiny_training import make_corpus, start_ranks, tiny_config

pytestmark = [pytest.mark.distributed, pytest.mark.slow]


def test_a_stuck_read_ends_every_rank_and_is_named(tmp_path: Path) -> None:
    """Rank 1 reads shards where one is a FIFO that nobody writes to; rank 0 waits for it."""
    corpus = make_corpus(tmp_path / "corpus")
    stuck = tmp_path / "stuck"
    stuck.mkdir()
    for shard in sorted(Path(corpus.shards).glob("*.tar")):
        os.mkfifo(stuck / shard.name)
    config = tiny_config(read_timeout_seconds=2.0)
    job = (run_checks.train_with_stuck_reads, (config, corpus, str(tmp_path), str(stuck)))

    processes = start_ranks(job, num_ranks=2, folder=tmp_path)
    said = [process.communicate(timeout=240)[0] for process in processes]

    assert all(process.returncode != 0 for process in processes)
    names = "|".join(shard.name for shard in stuck.iterdir())
    told = rf"StageError: ({names}): the [\d,]+ bytes from \d+ on could not be read within 2 s"
    assert re.search(told, said[1])
    assert "could not be read" not in said[0]
