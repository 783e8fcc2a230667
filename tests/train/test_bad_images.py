"""A whole run over an image that cannot be decoded."""

from pathlib import Path

import numpy as np
import pytest
import run_checks
from tiny_training import finish, make_corpus, start_ranks, tiny_config

from openalign.telemetry import read_json_lines
from openalign.train.config import Duration
from openalign.train.data.order import rows_at
from openalign.train.updates import Schedule

pytestmark = [pytest.mark.distributed, pytest.mark.slow]


def test_a_replaced_image_is_counted_and_named(tmp_path: Path) -> None:
    """One image of 32, with two pairs: both stand somewhere in the 64 positions of the epoch."""
    corpus = make_corpus(tmp_path / "corpus")
    config = tiny_config(
        bad_images="replace",
        duration=Duration(steps=4),
        schedule=Schedule(warmup_steps=0),
        batch_norm_batches=1,
    )
    table = corpus.table().to_pylist()
    bad = table[5]
    pairs = [n for n, row in enumerate(table) if row["offset"] == bad["offset"]]
    pairs = [n for n in pairs if table[n]["shard"] == bad["shard"]]
    job = (run_checks.train_on_damaged_shards, (config, corpus, str(tmp_path), 5))

    finish(start_ranks(job, num_ranks=1, folder=tmp_path))

    rows = rows_at(np.arange(64), num_rows=64, seed=0).tolist()
    positions = sorted(rows.index(pair) for pair in pairs)
    named = read_json_lines((tmp_path / "replaced.jsonl").read_text())
    assert [line["position"] for line in named] == positions
    assert [line["step"] for line in named] == [position // 16 for position in positions]
    assert {line["key"] for line in named} == {table[pair]["key"] for pair in pairs}
    assert all("not those that `fetch` wrote" in line["why"] for line in named)
    counted = [
        line["train/replaced_images"]
        for line in read_json_lines((tmp_path / "metrics.jsonl").read_text())
    ]
    assert counted == [sum(position // 16 == step for position in positions) for step in range(4)]
