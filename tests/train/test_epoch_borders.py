"""A whole run over the border of two epochs, where pairs stand in a batch twice."""

from pathlib import Path

import numpy as np
import pytest
import run_checks
import torch
from loss_oracle import Case
from tiny_training import finish, make_corpus, start_ranks, tiny_config

from openalign.telemetry import read_json_lines
from openalign.train.config import Duration
from openalign.train.data.order import rows_at
from openalign.train.updates import Schedule

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

BATCH = 24


def test_a_pair_is_no_negative_of_its_copy_on_another_rank(tmp_path: Path) -> None:
    """The third batch of 24 holds the end of an epoch of 64 pairs, and the start of the next. Of
    three blocks the first rank has two.
    """
    corpus = make_corpus(tmp_path / "corpus")
    config = tiny_config(
        global_batch_size=BATCH,
        duration=Duration(steps=4),
        schedule=Schedule(warmup_steps=0),
        batch_norm_batches=1,
    )
    job = (run_checks.train_and_keep_embeddings, (config, corpus, str(tmp_path)))

    finish(start_ranks(job, num_ranks=2, folder=tmp_path))

    ranks = [torch.load(tmp_path / f"kept-{rank}.pt") for rank in range(2)]
    lines = read_json_lines((tmp_path / "metrics.jsonl").read_text())
    for step, line in enumerate(lines):
        rows = rows_at(np.arange(BATCH * step, BATCH * (step + 1)), num_rows=64, seed=0).tolist()
        image, text = (torch.cat([rank[step][n].double() for rank in ranks]) for n in (0, 1))
        temperature = float(ranks[0][step][2])
        apart = Case(image, text, temperature, config.label_smoothing, rows).expected()
        against = Case(image, text, temperature, config.label_smoothing, None).expected()
        assert line["train/loss"] == pytest.approx(float(apart.loss), rel=1e-6)
        assert (abs(float(apart.loss - against.loss)) > 1e-2) == (step == 2)
