"""Trains the image tower with a head, stage after stage, and keeps what it says of test images.

All ranks do it together (`train.fine_tune.run`). What a finished run came to is kept, so that an
evaluation which was killed goes on after it; within a run it goes on from a checkpoint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch

from openalign.errors import ConfigError
from openalign.evaluate.linear.head import first_of_scores, ranks_of_scores
from openalign.evaluate.metrics.ranking import Ranks
from openalign.evaluate.results import library_versions
from openalign.evaluate.tasks.contract import TrainingMaterial
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of
from openalign.settings.fields import identity
from openalign.train.block_shares import largest_block
from openalign.train.config import TrainConfig
from openalign.train.fine_tune.classifier import Classifier
from openalign.train.fine_tune.images import LabeledImages
from openalign.train.fine_tune.recipes import FineTuneEngine, Recipe
from openalign.train.fine_tune.run import (
    HANG_SETTING,
    DivergedError,
    FineTuning,
    config_of,
    drop_checkpoints,
    fine_tune,
    logits_of,
)
from openalign.train.fine_tune.tower import ImageTowerRead, read_image_tower
from openalign.train.local_ranks import is_rank
from openalign.train.presets import ImageTower
from openalign.train.ranks import from_every_rank, on_rank_0
from openalign.train.sweep.ledger import Ledger
from openalign.train.watchdog import TESTED, TESTS, watched

FIRST = 5
"""Classes that are kept of each image."""

_VERSION = 1
"""Raised when a run ends elsewhere than before: earlier ones are not gone on from."""


class StageOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a network says of each test image after a stage."""

    steps: int
    num_skipped: int
    """Those of them that changed nothing, since their loss or gradient was not finite."""

    batch_size: int
    above: list[int]
    """Wrong classes that score higher than the right one."""

    tied: list[int]
    wrong: list[int]
    """The wrong class that scores highest."""

    first: list[list[int]]
    """The classes that score highest."""

    @property
    def ranks(self) -> Ranks:
        """Where the right class stands."""
        tied_Q = np.array(self.tied, dtype=np.int64)  # noqa: N806  # a shape suffix
        return Ranks(
            above_Q=np.array(self.above, dtype=np.int64),
            tied_Q=tied_Q,
            right_tied_Q=np.ones_like(tied_Q),
        )

    @property
    def num_right(self) -> int:
        """How many images have their class first, and no other beside it."""
        return int(self.ranks.hits((1,)).sum())


class RunOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run, stage by stage; no stage where it diverged."""

    stages: list[StageOutcome]

    @property
    def num_right(self) -> int:
        """How many images the last stage is right for."""
        return self.stages[-1].num_right if self.stages else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerRun:
    """A tower and a new head, trained in stages on some images and tested on others."""

    name: str
    """What files call it, unique in a task."""

    words: str
    """What messages call it."""

    stages: Sequence[Recipe]
    engine: FineTuneEngine
    seed: int
    trained_on: Sequence[int]
    """Places of images in the data set."""

    tested_on: Sequence[int]

    may_diverge: bool = False
    """Whether a training that diverges is an outcome, without a stage, and no error."""


def places_in(material: TrainingMaterial, *splits: str) -> list[int]:
    """Return the places of the images of some splits, in the data set's order."""
    images = material.dataset.images
    return [at for at, image in enumerate(images) if image.split in splits]


def check_blocks(
    stage: Recipe, engine: FineTuneEngine, *, num_images: int, num_processes: int
) -> None:
    """Check that so many processes can share a stage's batches.

    Raises:
        ConfigError: a batch cannot be cut into blocks, or has fewer than there are processes.
    """
    config = config_of(stage, engine, num_images=num_images, seed=0)
    count, size = config.num_blocks, config.pairs_per_block
    if count < num_processes:
        raise ConfigError(
            f"{num_processes} processes cannot share {count} block{'s' * (count > 1)} of {size} "
            "images: they are a whole batch",
            hint=_sharing_hint(config, num_processes),
        )


def _sharing_hint(config: TrainConfig, num_processes: int) -> str:
    count = config.num_blocks
    fewer = (
        f"start {count} process{'es' * (count > 1)} at most"
        if is_rank()
        else f"set `evaluate.num_processes` to {count} at most"
    )
    block = largest_block(
        config.model.image_tower.batch_norm,
        batch_size=config.global_batch_size,
        num_ranks=num_processes,
    )
    if block is None:
        return fewer
    return (
        f"{fewer}; or set `block_size` under the task's `engine` to {block}, which makes another "
        "model"
    )


def outcomes_of(material: TrainingMaterial, runs: Sequence[TowerRun]) -> list[RunOutcome]:
    """Train and test each of the runs that is not finished; all ranks must call this.

    Raises:
        ConfigError: a batch cannot be shared by so many ranks.
        InputError: an image or the model cannot be used.
        StageError: a training diverged, or its checkpoints cannot be used.
    """
    for run in runs:
        for stage in run.stages:
            check_blocks(
                stage,
                run.engine,
                num_images=len(run.trained_on),
                num_processes=material.ranks.world_size,
            )
    return [_outcome_of(material, run) for run in runs]


def _outcome_of(material: TrainingMaterial, run: TowerRun) -> RunOutcome:
    ranks = material.ranks
    of = {
        "version": _VERSION,
        "model": material.weights,
        "preprocess": material.preprocess,
        "images": material.images,
        "stages": [identity(stage) for stage in run.stages],
        "engine": identity(run.engine),
        "seed": run.seed,
        "places": [list(run.trained_on), list(run.tested_on)],
        "libraries": library_versions(),
    }
    ledger = Ledger(material.work, of=of, record=RunOutcome)
    kept = on_rank_0(ranks, ledger.finished).get(run.name)
    if kept is not None:
        return kept
    network = _Network(material, run, of=fingerprint_of(of))
    try:
        outcome = network.run_stages()
    except DivergedError:
        if not run.may_diverge:
            raise
        outcome = RunOutcome(stages=[])
    on_rank_0(ranks, lambda: ledger.write(run.name, outcome))
    network.drop_checkpoints()
    return outcome


class _Network:
    """A run under way."""

    def __init__(self, material: TrainingMaterial, run: TowerRun, *, of: str) -> None:
        """Take a run, and the hash of all that it depends on.

        Its checkpoints have a folder of their own: those of another model, other settings or other
        libraries are not gone on from.
        """
        self._material, self._run = material, run
        checkpoints = storage.join(material.work, "checkpoints", of[:16])
        self._trained_on = self._labeled(run.trained_on)
        self._tested_on = self._labeled(run.tested_on)
        self._stages = [
            FineTuning(
                words=f"{run.words}, stage {number} of {len(run.stages)}"
                if len(run.stages) > 1
                else run.words,
                recipe=recipe,
                engine=run.engine,
                images=self._trained_on,
                num_classes=len(material.dataset.classes),
                seed=run.seed,
                folder=storage.join(checkpoints, f"{run.name}-{number}"),
                made_from={"settings": of},
            )
            for number, recipe in enumerate(run.stages, start=1)
        ]

    def run_stages(self) -> RunOutcome:
        """Train and test, stage after stage."""
        ranks = self._material.ranks
        outcomes: list[StageOutcome] = []
        weights = None
        for stage in self._stages:
            config = config_of(
                stage.recipe, stage.engine, num_images=len(stage.images), seed=stage.seed
            )
            read, classifier = self._new_classifier(stage)
            if weights is not None:
                classifier.load_state_dict(weights)
            weights, num_skipped = fine_tune(stage, classifier, read.color_scaling, ranks)
            assert config.duration.steps is not None
            outcomes.append(
                self._test(
                    stage,
                    weights,
                    steps=config.duration.steps,
                    num_skipped=num_skipped,
                    batch_size=config.global_batch_size,
                )
            )
        return RunOutcome(stages=outcomes)

    def drop_checkpoints(self) -> None:
        """Remove what the run would have gone on from."""
        for stage in self._stages:
            drop_checkpoints(stage, self._material.ranks)

    def _test(
        self,
        stage: FineTuning,
        weights: Mapping[str, torch.Tensor],
        *,
        steps: int,
        num_skipped: int,
        batch_size: int,
    ) -> StageOutcome:
        ranks, tested = self._material.ranks, self._tested_on
        own: list[tuple[int, list[list[int]], list[list[int]]]] = []
        with watched(ranks, minutes=stage.engine.hang_minutes, setting=HANG_SETTING) as at:
            at(0, TESTS)
            read, classifier = self._new_classifier(stage)  # what ZeRO has cut stays cut
            classifier.load_state_dict(weights)
            found = logits_of(
                tested,
                classifier,
                read.color_scaling,
                side_px=stage.recipe.eval_px,
                num_threads=stage.engine.decode_threads,
                ranks=ranks,
                at=at,
            )
            for start, scores in found:
                labels = torch.from_numpy(tested.label_N[start : start + len(scores)])
                numbers = [part.tolist() for part in ranks_of_scores(scores, labels)]
                own.append((start, numbers, first_of_scores(scores, FIRST)))
            at(len(tested), TESTED)
            groups = sorted(group for part in from_every_rank(ranks, own) for group in part)
        above, tied, wrong = (
            [value for _, numbers, _ in groups for value in numbers[part]] for part in range(3)
        )
        return StageOutcome(
            steps=steps,
            num_skipped=num_skipped,
            batch_size=batch_size,
            above=above,
            tied=tied,
            wrong=wrong,
            first=[classes for _, _, first in groups for classes in first],
        )

    def _new_classifier(self, stage: FineTuning) -> tuple[ImageTowerRead, Classifier]:
        material, engine = self._material, stage.engine
        read = read_image_tower(
            material.model,
            material.processor,
            ImageTower(gradient_checkpointing=engine.gradient_checkpointing),
            sides_px=(stage.recipe.train_px, stage.recipe.eval_px),
        )
        classifier = Classifier(
            read.tower,
            width=read.width,
            num_classes=stage.num_classes,
            autocast=engine.precision == "bf16",
        )
        return read, classifier

    def _labeled(self, places: Sequence[int]) -> LabeledImages:
        images = [self._material.dataset.images[at] for at in places]
        return LabeledImages(
            reads=[image.place.read for image in images],
            label_N=np.array([image.label for image in images], dtype=np.int64),
        )
