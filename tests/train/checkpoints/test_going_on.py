"""Going on from the whole state of another run (`train.checkpoints.going_on`)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import going_on_checks
import pytest
from going_on_checks import NUM_STEPS
from one_rank import RANKS, alone, folder_in, save
from tiny_training import Corpus, finish, make_corpus, start_ranks, tiny_config

from openalign.errors import ConfigError, InputError, StageError
from openalign.files.facts import TrainFacts
from openalign.files.manifest import StageFolder, StageInputs, StageResult
from openalign.telemetry import read_json_lines
from openalign.train.checkpoints import going_on
from openalign.train.checkpoints.manifest import Progress, Rewind, read_manifest
from openalign.train.checkpoints.resume import FoundCheckpoint, find
from openalign.train.start.origin import LastCheckpoint, last_checkpoint
from openalign.train.starting_points import FromRun
from openalign.train.updates import Ema


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("going-on")
    corpus: Corpus = make_corpus(folder / "corpus")
    finish(start_ranks((going_on_checks.run, (corpus, str(folder))), num_ranks=2, folder=folder))
    return folder


def progress_of(folder: Path) -> Progress:
    return read_manifest(str(folder / "checkpoints" / f"step-{NUM_STEPS + 3:08d}")).progress


@pytest.mark.distributed
@pytest.mark.slow
def test_it_ends_as_a_run_that_was_only_stopped_in_between(ran: Path) -> None:
    """Weights, moments, averages, counts and draws are all there, or some byte would differ."""
    exports = [ran / name / "export" / "model.safetensors" for name in ("resumed", "gone-on")]

    assert exports[0].read_bytes() == exports[1].read_bytes()
    assert progress_of(ran / "gone-on").sample_hash == progress_of(ran / "resumed").sample_hash


@pytest.mark.distributed
@pytest.mark.slow
def test_its_steps_count_on_under_its_own_schedule(ran: Path) -> None:
    lines = read_json_lines((ran / "gone-on" / "metrics.jsonl").read_text())

    # A cosine over the 5 steps behind a warm-up of 2, at 2, 3 and 4 of them: the peak is 2e-3.
    expected = {4: 1.3090e-3, 5: 6.9098e-4, 6: 1.9098e-4}
    found = {line["step"]: line["train/learning_rate"] for line in lines}
    assert found == pytest.approx(expected, rel=1e-4)
    starts = [(start.step, start.zero_stage) for start in progress_of(ran / "gone-on").starts]
    assert starts == [(0, 2), (4, 3)]


@pytest.mark.distributed
@pytest.mark.slow
def test_what_it_cannot_go_on_with_is_refused_on_every_rank(ran: Path) -> None:
    for rank in range(2):
        short, frozen = json.loads((ran / f"said-{rank}.json").read_text())
        assert "`train.duration` is 4 steps, and the run that" in short
        assert "has taken 4, which count (write a longer duration, or begin" in short
        assert "has not trained what this one trains: 5 tensors differ, such as" in frozen
        assert "text_model.embeddings" in frozen
        assert "let `train.frozen` be as it was there" in frozen


def found_at(path: Path, step: int, **changes: Any) -> FoundCheckpoint:
    with alone():
        save(folder_in(path), step, **changes)
        return find(folder_in(path), step, RANKS)


def test_a_run_that_averaged_nothing_has_no_average_to_go_on_with(tmp_path: Path) -> None:
    save_in = {"settings": {"ema": None}}
    found_at(tmp_path, 7, **save_in)
    other = LastCheckpoint(folder_in(tmp_path).url, 7)
    config = tiny_config(ema=Ema(decay=0.5))

    with alone(), pytest.raises(ConfigError, match="has averaged nothing"):
        going_on.checkpoint_of(other, config, RANKS, scratch=tmp_path, total_steps=8)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    found = found_at(tmp_path, 7)
    (found.path / "__0_0.distcp").write_bytes(b"cut")
    other = LastCheckpoint(folder_in(tmp_path).url, 7)

    with alone(), pytest.raises(StageError, match=r"cannot be used: __0_0.distcp has 3 bytes"):
        going_on.checkpoint_of(other, tiny_config(), RANKS, scratch=tmp_path, total_steps=8)


def test_the_sample_hash_tells_of_other_pairs(tmp_path: Path) -> None:
    found = found_at(tmp_path, 7)  # made from the `select` called abc, at the sample hash 5a
    first = hashlib.sha256(b"another index").hexdigest()

    def beginning(**made_from: str) -> FoundCheckpoint:
        return going_on.as_beginning(found, made_from, tiny_config(), first_hash=first)

    same = beginning(**{"`select`": "abc", "settings": "others"})
    other = beginning(**{"`select`": "abd"})

    assert same.progress.sample_hash == "5a"
    joined = hashlib.sha256(bytes.fromhex("5a" + first)).hexdigest()
    assert (other.progress.sample_hash, other.progress.step) == (joined, 7)
    assert other.progress.first_step == 7


@pytest.mark.parametrize(
    ("select", "size", "seed", "num_kept"),
    [("abc", 8, 3, 1), ("abd", 8, 3, 0), ("abc", 16, 3, 0), ("abc", 8, 4, 0)],
    ids=["as-before", "other-pairs", "other-batch", "other-seed"],
)
def test_batches_are_passed_over_only_while_they_are_the_same(
    tmp_path: Path, select: str, size: int, seed: int, num_kept: int
) -> None:
    found = found_at(tmp_path, 7, settings={"global_batch_size": 8, "seed": 3})
    found.progress.rewinds = [
        Rewind(step=5, loss=9, mean=1, deviation=1, back_to=4, first_batch=4, stop_batch=6)
    ]
    config = tiny_config(global_batch_size=size, seed=seed)

    begun = going_on.as_beginning(found, {"`select`": select}, config, first_hash="5b")

    assert len(begun.progress.rewinds) == num_kept
    assert begun.progress.passed_over == ((4, 6),) * num_kept


def test_a_run_without_a_checkpoint_of_its_last_step_is_refused(tmp_path: Path) -> None:
    stage = StageFolder(str(tmp_path), "train")
    depends = StageInputs(settings={}, contents={})
    Path(stage.partial_url(depends.fingerprint), "checkpoints", "step-00000003").mkdir(parents=True)
    facts = TrainFacts(steps=5, skipped_steps=0, sample_hash="", vocabulary_size=1)
    stage.seal(StageResult(num_inputs=0, states={}, num_outputs=0, files=[], facts=facts), depends)

    assert last_checkpoint(FromRun(root=str(tmp_path))) is None
    with pytest.raises(InputError, match=r"kept no checkpoint of its last step, 5"):
        last_checkpoint(FromRun(root=str(tmp_path), state="all"))
