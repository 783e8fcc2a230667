"""Checkpoints know where the loss in validation was lowest, and what was the best stays."""

import hashlib
import json
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from one_rank import RANKS, alone, engine_of, folder_in, save, saver_of
from tiny_training import tiny_config

from openalign.errors import ConfigError, StageError
from openalign.train import loop
from openalign.train.checkpoints import going_on
from openalign.train.checkpoints.damage import DamagedError
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.manifest import (
    BestStep,
    Progress,
    read_manifest,
)
from openalign.train.checkpoints.resume import find
from openalign.train.config import Validation
from openalign.train.validation import better
from openalign.train.watchdog import Unwatched


@pytest.fixture(scope="module", autouse=True)
def group() -> Generator[None]:
    with alone():
        yield


def save_bests(folder: CheckpointFolder, bests: dict[int, int | None], **changes: Any) -> None:
    """Write checkpoints, each with the step that was the best up to it."""
    saver = saver_of(folder, **changes)
    for step, best in bests.items():
        found = None if best is None else BestStep(step=best, loss=1.0)
        progress = Progress(step=step, sample_hash="5a", best=found)
        saver.save(*engine_of(fill=step, step=step), progress)
    saver.wait()
    saver.close()


@pytest.mark.parametrize(
    ("bests", "kept"),
    [
        pytest.param({2: None, 4: None, 6: None}, [6], id="nothing was validated"),
        pytest.param({2: 2, 4: 2, 6: 2, 8: 2}, [2, 8], id="an old one"),
        pytest.param({2: 2, 4: 4, 6: 6}, [6], id="ever better"),
        pytest.param({2: 2, 4: 2, 6: 6, 8: 6}, [6, 8], id="a new one"),
    ],
)
def test_the_best_checkpoint_stays(
    tmp_path: Path, bests: dict[int, int | None], kept: list[int]
) -> None:
    save_bests(folder_in(tmp_path), bests, keep=1)

    assert sorted(folder_in(tmp_path).steps()) == kept


def test_what_was_the_best_up_to_a_checkpoint_that_stays_is_kept_for_who_goes_back(
    tmp_path: Path,
) -> None:
    """A spike behind step 6 goes back to 4, up to which 2 was the best: it may be so again."""
    save_bests(folder_in(tmp_path), {2: 2, 4: 2, 6: 6}, keep=2)

    assert folder_in(tmp_path).steps() == [6, 4, 2]


def test_only_a_finite_loss_below_all_others_is_better() -> None:
    first = better(None, 3.0, step=2)
    assert first == BestStep(step=2, loss=3.0)
    assert better(None, float("nan"), step=2) is None
    for loss in (3.0, 3.5, float("nan"), float("inf"), float("-inf")):
        assert better(first, loss, step=4) == first
    assert better(first, 2.9, step=4) == BestStep(step=4, loss=2.9)


def test_a_checkpoint_of_a_version_that_knew_no_best_is_read(tmp_path: Path) -> None:
    save(folder_in(tmp_path), 3)
    path = Path(folder_in(tmp_path).url_of(3)) / "checkpoint.json"
    manifest = json.loads(path.read_text())["manifest"]
    del manifest["progress"]["best"]
    text = json.dumps(manifest)
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(f'{{"sha256":"{digest}","manifest":{text}}}')

    assert read_manifest(str(path.parent)).progress == Progress(step=3, sample_hash="5a")

    path.write_text(path.read_text().replace('"sample_hash": "5a"', '"sample_hash": "5b"'))
    with pytest.raises(DamagedError, match="is not what was written"):
        read_manifest(str(path.parent))


def state_at_the_end(folder: CheckpointFolder, best: BestStep | None) -> Any:
    return SimpleNamespace(
        progress=Progress(step=8, best=best),
        total_steps=8,
        saver=SimpleNamespace(folder=folder),
        ranks=RANKS,
    )


def test_best_weights_that_are_lost_are_told_with_what_can_be_had(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    save(folder, 4, 8)
    (Path(folder.url_of(4)) / "__0_0.distcp").write_bytes(b"cut")
    best = BestStep(step=4, loss=1.0)

    with pytest.raises(
        StageError, match=r"^the best weights cannot be taken: .*__0_0.distcp"
    ) as caught:
        loop._show_best(state_at_the_end(folder, best), Unwatched())
    assert "`openalign export NAME --step 8` writes" in (caught.value.hint or "")

    with pytest.raises(StageError, match="no loss in validation was finite") as caught:
        loop._show_best(state_at_the_end(folder, None), Unwatched())
    assert "--step 8" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("select", "there", "here", "is_refused"),
    [
        ("abc", {"batches": 1, "every_steps": 5}, Validation(every_steps=7), False),
        ("abc", None, Validation(), True),
        ("abc", {"batches": 2, "every_steps": 5}, Validation(), True),
        ("abc", {"batches": 1, "every_steps": 5}, None, False),
        ("abd", None, Validation(), False),
    ],
    ids=["the same", "none there", "others there", "none here", "other pairs"],
)
def test_pairs_that_another_run_has_trained_on_are_not_held_out(
    tmp_path: Path,
    select: str,
    there: dict[str, int] | None,
    here: Validation | None,
    is_refused: int,
) -> None:
    settings = {"global_batch_size": 8, "seed": 3, "validation": there}
    save_bests(folder_in(tmp_path), {7: 6}, settings=settings)
    found = find(folder_in(tmp_path), 7, RANKS)
    config = tiny_config(global_batch_size=8, seed=3, validation=here)

    def begin() -> Progress:
        made_from = {"`select`": select}
        return going_on.as_beginning(found, made_from, config, first_hash="5b").progress

    if is_refused:
        with pytest.raises(ConfigError, match=r"has trained on pairs that `train\.validation`"):
            begin()
    else:
        assert begin().best is None  # its checkpoint is the other run's
