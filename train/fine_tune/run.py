"""One stage of fine-tuning on the training engine, and what the network says of images.

The engine is that of training on pairs: DeepSpeed around the network (`zero`), blocks that ranks
own whole (`passes`), batch norm by blocks, checkpoints by parameter. What goes through it is not.
So the promises are the same: a run that was killed goes on from its newest checkpoint, on as many
ranks in the same bytes, on more or fewer equal but for the rounding of sums.

Shape suffixes:
    C  classes
"""

import hashlib
import math
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from openalign.errors import ConfigError, StageError
from openalign.files import storage
from openalign.read_ahead import made_ahead
from openalign.telemetry import say
from openalign.train import passes, zero
from openalign.train.block_shares import BlockShare, block_share
from openalign.train.checkpoints import resume, room
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.manifest import Progress
from openalign.train.checkpoints.saver import CheckpointTerms, Saver
from openalign.train.config import Duration, TrainConfig, pairs_per_block
from openalign.train.data.worker_threads import WorkerThreads
from openalign.train.fine_tune.classifier import Classifier, build_sgd
from openalign.train.fine_tune.images import (
    EVALUATED_AT_ONCE,
    CropReader,
    LabeledBatch,
    LabeledImages,
)
from openalign.train.fine_tune.recipes import FineTuneEngine, Recipe
from openalign.train.fine_tune.schedule import falling_factor
from openalign.train.model.batch_norm import average_batch_norm, move_running_statistics
from openalign.train.model.tensors import trained_parameters, unmoved_tensors
from openalign.train.optim.momentum import MomentumSgd
from openalign.train.optim.schedule import total_steps
from openalign.train.ranks import RankGroup, on_rank_0, together
from openalign.train.stopping import Stopping, stop_behind, stop_requests
from openalign.train.updates import Schedule
from openalign.train.watchdog import (
    COMPUTES,
    GATHERS,
    MEETS,
    READS,
    SAVES,
    STARTS,
    TESTS,
    Mark,
    watched,
)

HANG_SETTING = "`hang_minutes` under the task's `engine`"
"""What is how long a step, or some images of a test, may take."""


class DivergedError(StageError):
    """The loss or gradient of too many steps in a row, or of the last one, was not finite."""


class FineTuned(NamedTuple):
    """What came of a stage."""

    weights: dict[str, Tensor]
    """Whole, and on the CPU."""

    num_skipped: int
    """Steps that changed nothing, since their loss or gradient was not finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """A stage that is to be run; every rank has the same."""

    words: str
    """What messages call it."""

    recipe: Recipe
    engine: FineTuneEngine
    images: LabeledImages
    num_classes: int
    seed: int
    """Of the order of images, their crops, and what is dropped and mixed."""

    folder: str
    """URL of its checkpoints. No other run may be at work there."""

    made_from: Mapping[str, str]
    """What the result depends on, by name: a checkpoint that says otherwise is refused."""


def config_of(recipe: Recipe, engine: FineTuneEngine, *, num_images: int, seed: int) -> TrainConfig:
    """Return a stage as settings of training.

    A set smaller than the batch goes in whole, up to the last whole block.

    Raises:
        ConfigError: the batch cannot be cut into blocks.
    """
    batch_size = min(recipe.batch_size, num_images)
    if batch_size < recipe.batch_size:
        batch_size -= batch_size % pairs_per_block(batch_size, engine.block_size)
    steps = total_steps(recipe.duration, num_pairs=num_images, global_batch_size=batch_size or 1)
    try:
        return TrainConfig(
            seed=seed,
            global_batch_size=batch_size,
            block_size=engine.block_size,
            duration=Duration(steps=steps),
            schedule=Schedule(warmup_steps=0),
            zero=engine.zero,
            precision=engine.precision,
            checkpoint_every_steps=engine.checkpoint_every_steps,
            keep_checkpoints=1,
            hang_minutes=engine.hang_minutes,
            decode_threads=engine.decode_threads,
        )
    except ValueError as error:
        raise ConfigError(f"batches of {batch_size} images cannot be made: {error}") from error


@dataclass(slots=True, kw_only=True)
class _UnderWay:
    """A stage under way."""

    run: FineTuning
    config: TrainConfig
    share: BlockShare
    ranks: RankGroup
    engine: Any
    optimizer: MomentumSgd
    progress: Progress

    @property
    def num_steps(self) -> int:
        """Steps of the whole stage."""
        steps = self.config.duration.steps
        assert steps is not None
        return steps

    @property
    def is_due(self) -> bool:
        """Whether a checkpoint belongs behind the steps that are done."""
        step = self.progress.step
        return step == self.num_steps or step % self.config.checkpoint_every_steps == 0


def fine_tune(
    run: FineTuning, classifier: Classifier, color_scaling: Tensor | None, ranks: RankGroup
) -> FineTuned:
    """Train a network from its newest checkpoint on.

    All ranks must call this, each with a network that begins with the same weights.

    Raises:
        ConfigError: there are fewer blocks than ranks.
        DivergedError: too many steps in a row were not finite, or the last one was not.
        InputError: an image cannot be read.
        StageError: no checkpoint is whole, or there is no room for one.
        Stopped: a rank was asked to stop, and a checkpoint is saved.
    """
    with watched(ranks, minutes=run.engine.hang_minutes, setting=HANG_SETTING) as at:
        return _fine_tuned(run, classifier, color_scaling, ranks, at)


def _fine_tuned(
    run: FineTuning,
    classifier: Classifier,
    color_scaling: Tensor | None,
    ranks: RankGroup,
    at: Mark,
) -> FineTuned:
    at(0, STARTS)
    config = config_of(run.recipe, run.engine, num_images=len(run.images), seed=run.seed)
    share = block_share(config, rank=ranks.rank, world_size=ranks.world_size)
    folder = CheckpointFolder(url=run.folder, scratch=_scratch(run.folder), moved=at.moved)
    on_rank_0(ranks, folder.drop_unfinished)
    found = resume.find_newest(folder, ranks, made_from=run.made_from)
    classifier.begin(run.recipe)
    optimizer = build_sgd(classifier, run.recipe)
    on_rank_0(ranks, partial(_require_room, folder, classifier, len(optimizer.kept)))
    stage = _UnderWay(
        run=run,
        config=config,
        share=share,
        ranks=ranks,
        engine=resume.engine_from(found, classifier, optimizer, config, ranks),
        optimizer=optimizer,
        progress=found.progress if found else Progress(),
    )
    terms = CheckpointTerms(
        made_from=run.made_from, settings={}, keep=1, keep_every_steps=0, beside={}
    )
    saver = Saver(folder, ranks, terms)
    try:
        with (
            stop_requests(Stopping(), gone=0.0) as stops,
            _batches(stage, color_scaling) as batches,
        ):
            stage.engine.train()
            at(stage.progress.step, READS)
            for batch in batches:
                saver.check()
                is_asked = _step(stage, batch, at=at, stop=stops.are_there())
                if stage.is_due or is_asked:
                    at(stage.progress.step - 1, SAVES)
                    average_batch_norm(classifier)
                    saver.save(stage.engine, optimizer, stage.progress)
                if is_asked:
                    break
                at(stage.progress.step, READS)
            at(stage.progress.step, SAVES)
            saver.wait()
            # Behind the last step too: another stage, or the test, would come next.
            if any(together(stops.are_there)):
                says, step = ranks.rank == 0, stage.progress.step
                stop_behind(step, stage.num_steps, words=run.words, says=says)
            at(stage.progress.step, GATHERS)
            weights = zero.whole_weights(stage.engine)
        return FineTuned(weights, stage.progress.num_skipped)
    finally:
        saver.close()
        zero.stop_engine(stage.engine)


def logits_of(
    images: LabeledImages,
    classifier: Classifier,
    color_scaling: Tensor | None,
    *,
    side_px: int,
    num_threads: int,
    ranks: RankGroup,
    at: Mark,
) -> Iterator[tuple[int, Tensor]]:
    """Yield this rank's share of the images: the place of the first, and `[b, C]` of some.

    Each rank has every so many of the groups of images, and a whole copy of the network. `at` is
    told the place of the first of those that come next.

    Raises:
        InputError: an image cannot be read.
    """
    classifier.to(ranks.device).eval()
    starts = range(
        EVALUATED_AT_ONCE * ranks.rank, len(images), EVALUATED_AT_ONCE * ranks.world_size
    )
    with _reader(images, color_scaling, num_threads) as reader:
        made = (reader.evaluation(start, side_px=side_px) for start in starts)
        with closing(made_ahead(made, num_ahead=1, name="crops")) as ahead, torch.inference_mode():
            for start in starts:
                at(start, TESTS)
                yield start, classifier.logits(next(ahead).to(ranks.device)[:]).cpu()


def _step(stage: _UnderWay, batch: LabeledBatch, *, at: Mark, stop: bool) -> bool:
    """Take a step; where it is not finite on any rank, change nothing.

    `stop` tells that this rank is asked to stop behind it. Returns whether any rank is.

    Raises:
        DivergedError: it is one of too many in a row that were not, or the last one.
    """
    run, ranks, progress, share = stage.run, stage.ranks, stage.progress, stage.share
    step = progress.step
    at(step, COMPUTES)
    loss = share.weight * stage.engine(
        batch.pixels.to(ranks.device, non_blocking=True),
        batch.label_B.to(ranks.device, non_blocking=True),
        passes=passes.block_passes(share, seed=run.seed, step=step),
    )
    at(step, MEETS)
    shared = torch.stack([loss.detach() / ranks.world_size, loss.new_tensor(stop)])
    dist.all_reduce(shared)
    mean, num_asked = shared.tolist()
    stage.optimizer.set_factor(falling_factor(run.recipe.falls, step, total_steps=stage.num_steps))
    is_finite = math.isfinite(mean)
    norm = zero.take_step(stage.engine, stage.optimizer, loss) if is_finite else math.nan
    progress.step += 1
    _count(stage, is_taken=math.isfinite(norm))
    statistics = stage.engine.module.statistics_of_passes
    if statistics and math.isfinite(norm):
        move_running_statistics(stage.engine.module, statistics, share=share.weight)
    if stage.is_due and ranks.rank == 0:
        skipped = f", {progress.num_skipped:,} skipped so far" if progress.num_skipped else ""
        say(f"{run.words}, step {progress.step:,} of {stage.num_steps:,}: loss {mean:.4f}{skipped}")
    return num_asked > 0


def _count(stage: _UnderWay, *, is_taken: bool) -> None:
    """Count a step.

    A network that ends behind a step that was not finite may be ruined, so it is no result.

    Raises:
        DivergedError: it is one of too many in a row that were not finite, or the last one.
    """
    progress = stage.progress
    progress.nonfinite_in_a_row = 0 if is_taken else progress.nonfinite_in_a_row + 1
    progress.num_skipped += not is_taken
    at_most = 0 if progress.step == stage.num_steps else stage.config.nonfinite_steps_in_a_row - 1
    if progress.nonfinite_in_a_row > at_most:
        raise DivergedError(
            f"{stage.run.words} stopped at step {progress.step} of {stage.num_steps}: the loss or "
            f"gradient of its last step was not finite, {progress.nonfinite_in_a_row} in a row",
            hint="a lower learning rate helps where the data is sound",
        )


@contextmanager
def _batches(stage: _UnderWay, color_scaling: Tensor | None) -> Generator[Iterator[LabeledBatch]]:
    """Make this rank's part of each step that is left, one step ahead."""
    run, config, share = stage.run, stage.config, stage.share

    def make(reader: CropReader, step: int) -> LabeledBatch:
        first = step * config.global_batch_size + share.start
        return reader.training(
            np.arange(first, first + share.num_pairs), side_px=run.recipe.train_px, seed=run.seed
        )

    with _reader(run.images, color_scaling, config.decode_threads) as reader:
        made = map(partial(make, reader), range(stage.progress.step, stage.num_steps))
        with closing(made_ahead(made, num_ahead=1, name="crops")) as ahead:
            yield ahead


@contextmanager
def _reader(
    images: LabeledImages, color_scaling: Tensor | None, num_threads: int
) -> Generator[CropReader]:
    with closing(WorkerThreads(num_threads, name="crop")) as threads:
        yield CropReader(images=images, threads=threads, color_scaling=color_scaling)


def _require_room(folder: CheckpointFolder, classifier: Classifier, num_kept: int) -> None:
    needed = room.bytes_of_checkpoint(
        trained_parameters(classifier).values(),
        unmoved_tensors(classifier).values(),
        num_kept=num_kept,
    )
    room.require_room(folder.room, needed, at_once=1)


def _scratch(url: str) -> Path:
    """Return a folder of this machine for checkpoints that are kept under a URL."""
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"openalign-fine-tune-{name}"


def drop_checkpoints(run: FineTuning, ranks: RankGroup) -> None:
    """Remove a stage's checkpoints, once what came of it is kept; all ranks must call this."""
    together(lambda: None)  # until all have read
    on_rank_0(ranks, lambda: storage.remove(run.folder))
