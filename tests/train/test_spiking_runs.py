"""Whole runs on two gloo ranks in which the loss of a batch is a spike."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spike_checks
from spike_checks import BATCH_SIZE, NUM_STEPS
from tiny_training import Corpus, finish, make_corpus, start_ranks

from openalign.telemetry import read_json_lines
from openalign.train.checkpoints.manifest import Progress, read_manifest
from openalign.train.data.order import rows_at
from openalign.train.data.sample_hash import first_hash, next_hash

pytestmark = [pytest.mark.distributed, pytest.mark.slow]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def ran(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spikes")
    killed = start_ranks(
        (spike_checks.run, (corpus, str(folder), spike_of)), num_ranks=2, folder=folder
    )
    said = [process.communicate()[0] for process in killed]
    assert [process.returncode for process in killed] == [-9, -9], said
    assert not any((folder / name / "export").exists() for name in ("stopped", "killed"))
    assert (folder / "stopped" / "checkpoints" / "step-00000007").exists()  # before the spike
    job = (spike_checks.resume, (corpus, str(folder)))
    finish(start_ranks(job, num_ranks=2, folder=folder))
    return folder


def spike_of(folder: str, name: str = "rewound") -> Mapping[str, float]:
    return json.loads(Path(folder, name, "rewound.jsonl").read_text())


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return read_json_lines((folder / name).read_text())


def progress(folder: Path) -> Progress:
    return read_manifest(str(folder / "checkpoints" / f"step-{NUM_STEPS:08d}")).progress


def files(folder: Path) -> dict[str, bytes]:
    """Return the files that must not depend on how the run came to its end."""
    names = [
        "metrics.jsonl",
        "rewound.jsonl",
        *(f"export/{p.name}" for p in folder.glob("export/*")),
    ]
    return {name: (folder / name).read_bytes() for name in names}


def keys_of_batch(corpus: Corpus, number: int) -> list[str]:
    keys = corpus.table()["key"].to_pylist()
    rows = rows_at(np.arange(BATCH_SIZE) + number * BATCH_SIZE, num_rows=64, seed=0)
    return [keys[row] for row in rows]


def test_a_skipped_spike_changes_what_a_step_that_is_not_finite_does(
    ran: Path, corpus: Corpus
) -> None:
    skipped, not_finite = ran / "skipped", ran / "not-finite"

    assert [line["step"] for line in lines(skipped, "metrics.jsonl")] == [*range(7), 8, 9]
    for name in ("metrics.jsonl", "export/model.safetensors"):
        assert (skipped / name).read_bytes() == (not_finite / name).read_bytes(), name
    (noted,) = lines(skipped, "skipped.jsonl")
    assert (noted["step"], noted["keys"]) == (7, keys_of_batch(corpus, 7))
    assert "is a spike: it was" in noted["why"]
    assert (progress(skipped).num_skipped, progress(skipped).nonfinite_in_a_row) == (1, 0)
    losses = [line["train/loss"] for line in lines(skipped, "metrics.jsonl")]
    assert progress(skipped).recent_losses[0] == losses[6]  # then the spike's own
    assert progress(skipped).recent_losses[2:] == losses[7:]


def test_a_rewind_ends_as_a_run_that_had_passed_over_those_batches_from_the_start(
    ran: Path,
) -> None:
    assert files(ran / "rewound") == files(ran / "known")
    assert progress(ran / "rewound").sample_hash == progress(ran / "known").sample_hash
    assert progress(ran / "rewound").recent_losses == progress(ran / "known").recent_losses


def test_a_rewind_takes_other_pairs_and_leaves_no_trace_of_undone_steps(
    ran: Path, corpus: Corpus
) -> None:
    rewound = ran / "rewound"
    batches = [0, 1, 2, 3, 4, 8, 9, 10, 11, 12]
    expected = first_hash([file.sha256 for file in corpus.index])
    for number in batches:
        positions = np.arange(BATCH_SIZE) + number * BATCH_SIZE
        expected = next_hash(expected, rows_at(positions, num_rows=64, seed=0))

    assert progress(rewound).sample_hash == expected
    metrics = lines(rewound, "metrics.jsonl")
    assert [line["step"] for line in metrics] == list(range(NUM_STEPS))
    # 16 of 64 pairs a batch.
    assert [line["train/epoch"] for line in metrics] == [(n + 1) / 4 for n in batches]
    (noted,) = lines(rewound, "rewound.jsonl")
    assert noted["keys"] == keys_of_batch(corpus, 7)
    undisturbed = [line["train/loss"] for line in lines(ran / "skipped", "metrics.jsonl")]
    assert [line["train/loss"] for line in metrics[:5]] == undisturbed[:5]
    assert noted["mean"] == pytest.approx(sum(undisturbed[3:7]) / 4, rel=1e-12)
    # Half of the mean over two ranks is 100 times as large.
    assert 40 * noted["mean"] < noted["loss"] < 60 * noted["mean"]
    assert not (rewound / "skipped.jsonl").exists()


def test_a_rewind_below_a_url_ends_as_one_in_a_folder(ran: Path) -> None:
    (on_this_machine,) = ran.glob("openalign-train-*")
    assert files(on_this_machine) == files(ran / "rewound")
    assert progress(ran / "below-url").rewinds == progress(ran / "rewound").rewinds


def test_a_rewind_goes_back_to_what_another_run_has_ended_with(ran: Path) -> None:
    gone_on = ran / "gone-on"

    assert files(gone_on) == files(ran / "gone-on-known")
    assert [line["step"] for line in lines(gone_on, "metrics.jsonl")] == [4, 5, 6, 7, 8, 9]
    of_runs = [(each.back_to, each.first_batch, each.step) for each in progress(gone_on).rewinds]
    assert of_runs == [(5, 5, 7)]
    starts = progress(gone_on).starts
    assert [start.step for start in starts] == [0, 4], "what came of the one before was undone"


@pytest.mark.parametrize("ended", ["killed", "stopped"])
def test_a_run_that_ended_behind_its_rewind_or_at_the_spike_ends_with_the_same_bytes(
    ran: Path, ended: str
) -> None:
    assert files(ran / ended) == files(ran / "rewound")
    assert progress(ran / ended).rewinds == progress(ran / "rewound").rewinds


def test_more_spikes_than_allowed_end_the_run_on_every_rank(ran: Path) -> None:
    for rank in range(2):
        said = (ran / f"said-{rank}.txt").read_text()
        assert "training stopped at step 6: its loss, " in said
        assert "is a spike, and steps were undone for 1 others already (rewound.jsonl" in said
        assert "`train.loss_spikes.at_most` goes on" in said
