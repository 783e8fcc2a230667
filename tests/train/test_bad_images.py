"""Whole runs over images that cannot be decoded."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import run_checks
import tiny_training
from shared_store import PREFIX
from tiny_training import Corpus, finish, make_corpus, start_ranks, tiny_config

from openalign.telemetry import read_json_lines
from openalign.train.config import Duration, Validation
from openalign.train.data.order import rows_at
from openalign.train.updates import Schedule

pytestmark = [pytest.mark.distributed, pytest.mark.slow]


def damage(corpus: Corpus, rows: Sequence[int]) -> None:
    """Let the images of rows become zeros."""
    pairs = corpus.table().to_pylist()
    for row in rows:
        with Path(corpus.shards, pairs[row]["shard"]).open("r+b") as shard:
            shard.seek(pairs[row]["offset"])
            shard.write(bytes(pairs[row]["length"]))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return read_json_lines(path.read_text())


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
    damage(corpus, [5])
    job = (tiny_training.train, (config, corpus, str(tmp_path), str(tmp_path / "work")))

    finish(start_ranks(job, num_ranks=1, folder=tmp_path))

    rows = rows_at(np.arange(64), num_rows=64, seed=0).tolist()
    positions = sorted(rows.index(pair) for pair in pairs)
    named = lines_of(tmp_path / "replaced.jsonl")
    assert [line["position"] for line in named] == positions
    assert [line["step"] for line in named] == [position // 16 for position in positions]
    assert {line["key"] for line in named} == {table[pair]["key"] for pair in pairs}
    assert all("not those that `fetch` wrote" in line["why"] for line in named)
    counted = [line["train/replaced_images"] for line in lines_of(tmp_path / "metrics.jsonl")]
    assert counted == [sum(position // 16 == step for position in positions) for step in range(4)]


def test_images_of_all_machines_are_named_alike_whatever_ranks_there_are_and_die(
    tmp_path: Path,
) -> None:
    """Two machines share a URL alone, and one of them dies in step 5; then as one machine."""
    corpus = make_corpus(tmp_path / "corpus")
    damage(corpus, range(0, 64, 6))
    config = tiny_config(bad_images="replace", validation=Validation(batches=1, every_steps=4))

    def start(root: str, *, num_ranks: int, dies_at: int | None = None) -> list[Any]:
        job = (run_checks.train_on_a_machine_each, (config, corpus, root, dies_at))
        return start_ranks(job, num_ranks=num_ranks, folder=tmp_path / "jobs")

    root = f"{PREFIX}{tmp_path}/apart"
    for process in start(root, num_ranks=2, dies_at=6):
        process.communicate()
        assert process.returncode != 0
    said = finish(start(root, num_ranks=2))
    finish(start(str(tmp_path / "alone"), num_ranks=1))

    assert "goes on from step 3" in "".join(said)
    apart, alone = (tmp_path / name / "train" / "replaced.jsonl" for name in ("apart", "alone"))
    assert apart.read_bytes() == alone.read_bytes()
    named = lines_of(apart)
    steps = [line["step"] for line in named]
    assert steps == sorted(steps)
    # A look at the held-out pairs comes before steps 4 and 8, and there is no step 8 to train.
    looks = Counter(step for step in steps if step == 8)
    counted = {
        line["step"]: line["train/replaced_images"]
        for line in lines_of(apart.with_name("metrics.jsonl"))
        if "train/replaced_images" in line
    }
    counted[4] += looks[8]
    assert Counter(steps) == Counter({step: n for step, n in counted.items() if n}) + looks
    assert looks[8] > 0
