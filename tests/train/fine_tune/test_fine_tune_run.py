"""Stages on the training engine: equal to torch's own SGD, on any ranks, and after a kill."""

import pickle
import signal
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fine_tune_checks as checks
import numpy as np
import pytest
import torch
from tiny_training import finish, start_ranks
from torch import Tensor

from openalign.errors import ConfigError, StageError
from openalign.train import zero
from openalign.train.checkpoint_names import name_of
from openalign.train.data.order import rows_at
from openalign.train.fine_tune.images import LabeledImages
from openalign.train.fine_tune.recipes import (
    FINE_GRAINED_HEAD,
    IMAGENET_HEAD,
    FineTuneEngine,
    Recipe,
)
from openalign.train.fine_tune.run import DivergedError, config_of, fine_tune
from openalign.train.ranks import RankGroup
from openalign.train.stopping import STOPPED
from openalign.train.watchdog import HUNG

ON_TWO_RANKS = [
    ("as in BiT", 3),
    ("as in BiT", 0),
    ("batch norm", 2),
    ("all", 1),
    ("head", 2),
    ("head", 3),
]
"""Recipes, each with a ZeRO stage."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Generator[None]:
    """Round as the ranks do: with another number of threads sums have another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    """What two ranks come to; they are started once for all tests here."""
    folder = tmp_path_factory.mktemp("two")
    job = (checks.on_ranks, (str(folder), ON_TWO_RANKS))
    finish(start_ranks(job, num_ranks=2, folder=folder))
    return pickle.loads(Path(folder, "found.pkl").read_bytes())


@pytest.fixture(scope="module")
def by_hand() -> dict[str, dict[str, Tensor]]:
    """What torch's own SGD comes to."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, recipe in checks.RECIPES.items():
        classifier = checks.new_classifier()
        checks.by_hand(classifier, recipe, block=checks.BLOCK, seed=checks.SEED)
        found[name] = {n: v.detach().clone() for n, v in classifier.state_dict().items()}
    return found


def ways_apart(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """Return how far a network lies from the one expected, as shares of the way from the start.

    They are of the head, of the tower's weights and of its running statistics, each by itself: the
    statistics move a hundred times as far as weights. What is to stay must not have moved at all.
    """
    start, found_apart = checks.new_classifier().state_dict(), dict[str, float]()
    for group, names in groups_of(expected).items():
        apart = sum(float((found[n] - expected[n]).double().square().sum()) for n in names)
        way = sum(float((expected[n] - start[n]).double().square().sum()) for n in names)
        assert way > 0 or apart == 0, f"the {group} moved"
        if way > 0:
            found_apart[group] = (apart / way) ** 0.5
    return found_apart


def groups_of(weights: dict[str, Tensor]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {"head": [], "tower": [], "statistics": []}
    for name in (n for n in weights if weights[n].is_floating_point()):
        of_tower = "statistics" if "running_" in name else "tower"
        groups["head" if name.startswith("head.") else of_tower].append(name)
    return groups


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("case", ON_TWO_RANKS)
def test_two_ranks_come_to_what_torchs_own_sgd_does(
    two_ranks: dict[Any, Any], by_hand: dict[str, dict[str, Tensor]], case: tuple[str, int]
) -> None:
    assert set(two_ranks[case]) == set(by_hand[case[0]])
    apart = ways_apart(two_ranks[case], by_hand[case[0]])
    assert set(apart) == checks.MOVED[case[0]]
    assert max(apart.values()) < 1e-3, apart


@pytest.mark.distributed
@pytest.mark.slow
def test_ranks_share_the_images_that_are_tested(two_ranks: dict[Any, Any]) -> None:
    classifier = checks.new_classifier()
    classifier.load_state_dict(two_ranks[ON_TWO_RANKS[0]])
    with torch.inference_mode():
        expected = classifier.eval().logits(checks.central(40))

    torch.testing.assert_close(two_ranks["scores"], expected, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Tensor]]:
    """How often a run of eight steps reads, and its weights."""
    return checks.read_by(str(tmp_path_factory.mktemp("whole")))


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, whole: tuple[int, dict[str, Tensor]]
) -> None:
    """Steps read 16 images. It is killed at the sixth, behind the checkpoint of the third."""
    reads, expected = whole
    cut = tmp_path / "cut"
    [killed] = start_ranks((checks.until_killed, (str(cut),)), num_ranks=1, folder=cut)
    said = killed.communicate()[0]
    assert killed.returncode == -signal.SIGKILL, said

    reads_after, found = checks.read_by(str(cut))

    assert (reads, reads_after) == (8 * 16, 5 * 16)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.slow
@pytest.mark.parametrize(("during", "behind"), [(4, 5), (8, 8)])
def test_a_run_that_is_asked_to_stop_saves_and_goes_on_from_there(
    tmp_path: Path, whole: tuple[int, dict[str, Tensor]], during: int, behind: int
) -> None:
    """Whether a step is the last is known when it begins; behind the last step it stops at once."""
    _, expected = whole
    job = (checks.until_stopped, (str(tmp_path), during))
    [stopped] = start_ranks(job, num_ranks=1, folder=tmp_path)
    said = stopped.communicate()[0]
    assert stopped.returncode == STOPPED, said
    assert f"toy stopped behind step {behind} of 8, with a checkpoint" in said

    reads, found = checks.read_by(str(tmp_path))

    assert reads == (8 - behind) * 16
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize(("during", "behind"), [(4, 5), (8, 8)])
def test_ranks_stop_behind_the_same_step_whichever_was_asked(
    tmp_path: Path, during: int, behind: int
) -> None:
    job = (checks.until_stopped, (str(tmp_path), during))
    both = start_ranks(job, num_ranks=2, folder=tmp_path)
    said = [rank.communicate()[0] for rank in both]

    assert [rank.returncode for rank in both] == [STOPPED, STOPPED], said
    assert f"stopped behind step {behind} of 8" in said[0]
    [saved] = (tmp_path / "checkpoints").glob("step-*")
    assert saved.name == name_of(behind)


@pytest.mark.slow
def test_a_run_that_hangs_is_ended_and_says_where(tmp_path: Path) -> None:
    [hung] = start_ranks((checks.until_hung, (str(tmp_path),)), num_ranks=1, folder=tmp_path)

    said = hung.communicate()[0]

    assert hung.returncode == HUNG, said
    assert "waits for its pairs at step 2" in said
    assert "hint: `hang_minutes` under the task's `engine` is how long a step may take" in said


@pytest.fixture(scope="module")
def alone() -> Generator[RankGroup]:
    with zero.joined_ranks() as ranks:
        yield ranks


def test_a_run_ends_where_nothing_is_finite(tmp_path: Path, alone: RankGroup) -> None:
    recipe = replace(checks.HEAD, learning_rate=1e30)

    with pytest.raises(StageError, match=r"toy stopped at step .* not finite, 10 in a row") as told:
        fine_tune(checks.run_of(recipe, str(tmp_path)), checks.new_classifier(), None, alone)
    assert "lower learning rate" in (told.value.hint or "")


def without_a_loss_at(step: int, recipe: Recipe) -> LabeledImages:
    """Return the images, with no label in the first block that a step takes."""
    first = step * recipe.batch_size
    block = np.arange(first, first + checks.BLOCK)
    labels = checks.LABELS.numpy().copy()
    labels[rows_at(block, num_rows=len(labels), seed=checks.SEED)] = -100  # what torch ignores
    return replace(checks.images(), label_N=labels)


def test_steps_that_are_not_finite_are_counted_and_told(
    tmp_path: Path, alone: RankGroup, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = checks.RECIPES["head"]
    run = checks.run_of(recipe, str(tmp_path), images=without_a_loss_at(1, recipe))

    trained = fine_tune(run, checks.new_classifier(), None, alone)

    assert trained.num_skipped == 1
    assert capsys.readouterr().err.count(", 1 skipped so far\n") == 2
    assert all(weight.isfinite().all() for weight in trained.weights.values())


def test_a_run_whose_last_step_is_not_finite_is_no_result(tmp_path: Path, alone: RankGroup) -> None:
    recipe = checks.RECIPES["head"]
    run = checks.run_of(recipe, str(tmp_path), images=without_a_loss_at(3, recipe))

    with pytest.raises(DivergedError, match=r"step 4 of 4: .* its last step was not finite, 1 in"):
        fine_tune(run, checks.new_classifier(), None, alone)


def test_a_checkpoint_of_other_inputs_is_refused(tmp_path: Path, alone: RankGroup) -> None:
    recipe = checks.RECIPES["head"]
    fine_tune(checks.run_of(recipe, str(tmp_path)), checks.new_classifier(), None, alone)
    other = checks.run_of(recipe, str(tmp_path), made_from={"model": "another"})

    with pytest.raises(StageError, match="was made with another model"):
        fine_tune(other, checks.new_classifier(), None, alone)


def test_a_set_smaller_than_the_batch_goes_in_whole_blocks() -> None:
    def sizes(
        num_images: int, block_size: int | None, recipe: Recipe = FINE_GRAINED_HEAD
    ) -> tuple[int, int]:
        engine = FineTuneEngine(block_size=block_size)
        config = config_of(recipe, engine, num_images=num_images, seed=0)
        return config.global_batch_size, config.num_blocks

    assert sizes(2040, None) == (256, 1)
    assert sizes(2040, 32) == (256, 8)
    assert sizes(100, None) == (100, 1)
    assert sizes(100, 16) == (96, 6)
    assert sizes(1000, None, IMAGENET_HEAD) == (768, 3)
    assert sizes(1000, 250, IMAGENET_HEAD) == (1000, 4)
    with pytest.raises(ConfigError, match="batches of 0 images cannot be made"):
        sizes(10, 16)


def test_epochs_are_counted_in_images() -> None:
    config = config_of(IMAGENET_HEAD, FineTuneEngine(), num_images=1_281_167, seed=0)

    assert config.duration.steps == 125_114
    assert (config.global_batch_size, config.num_blocks) == (1024, 4)
