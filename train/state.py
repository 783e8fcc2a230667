"""A run under way: what every step needs, and how a rank comes to it.

A run goes on from its newest whole checkpoint (`train/checkpoints`), or begins.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import torch

from openalign.files import storage
from openalign.files.names import REPLACED_FILE, VOCABULARY_FILE
from openalign.files.shards import ShardReader
from openalign.settings.fields import to_plain
from openalign.train import zero
from openalign.train.block_shares import BlockShare, block_share
from openalign.train.checkpoints import going_on, resume, room
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.manifest import Progress, Rewind, Start
from openalign.train.checkpoints.saver import CheckpointTerms, Saver
from openalign.train.config import Augmentation, TrainConfig
from openalign.train.data.held_out import Orders, orders_of
from openalign.train.data.index import TrainingIndex
from openalign.train.data.index_check import IndexCheck
from openalign.train.data.order import Order
from openalign.train.data.pairs import Batch, TrainingSet, check_batch_size
from openalign.train.data.passed_over import BatchRange
from openalign.train.data.preprocess import build_tokenizer, padded_to_most
from openalign.train.data.vocabulary import load_vocabulary, save_vocabulary, vocabulary_hash
from openalign.train.journal import Journal
from openalign.train.model.export import preprocess_of
from openalign.train.model.pretrained import Pretrained
from openalign.train.model.tensors import trained_parameters, unmoved_tensors
from openalign.train.model.towers import Towers, build_towers
from openalign.train.optim.lamb import ShardedOptimizer, build_optimizer
from openalign.train.optim.schedule import check_warmup, total_steps
from openalign.train.ranks import RankGroup, is_first_of_machine, on_rank_0, together
from openalign.train.replaced_images import NamedImage
from openalign.train.spikes import undone_steps
from openalign.train.start.origin import LastCheckpoint
from openalign.train.starting_points import brings_words
from openalign.train.utilization import utilization_of
from openalign.train.wandb_run import WandbRun
from openalign.train.watchdog import STARTS, Mark
from openalign.train.work_folder import Folders, fetch_beside

_LEARN_AGAIN = (
    f"remove work/{VOCABULARY_FILE} in the folder that has the checkpoints: it is learned again "
    "from the same texts"
)
_NO_AUGMENTATION = Augmentation(random_crop=False, horizontal_flip=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """What a run is given beside its settings."""

    index: TrainingIndex
    first_hash: str
    """The sample hash before the first step."""

    vocabulary: Sequence[str]
    """The word piece of every id."""

    shards: ShardReader
    folders: Folders
    """Nobody else may be at work in them: rank 0 of `rank.run` holds the stage's lock and lease."""

    made_from: Mapping[str, str]
    """What the result depends on, by name: a checkpoint that says otherwise is refused."""

    pretrained: Pretrained | None = None
    """What the run begins from. One that goes on from a checkpoint has its weights from there."""

    index_check: IndexCheck | None = None
    """On rank 0: sees whether the index is whole."""

    other_run: LastCheckpoint | None = None
    """What the run goes on from while it has no checkpoint of its own."""


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """A run under way."""

    config: TrainConfig
    ranks: RankGroup
    share: BlockShare
    data: TrainingSet
    held_out: TrainingSet | None
    """What is validated on."""

    vocabulary: Sequence[str]
    engine: Any
    optimizer: ShardedOptimizer
    total_steps: int
    progress: Progress
    saved_step: int
    """Of the newest checkpoint, or where the run began."""

    saver: Saver
    journal: Journal | None
    """On rank 0 alone."""

    replaced: list[NamedImage] = field(default_factory=list)
    """Images of this rank that no checkpoint has named yet."""

    @property
    def best_step(self) -> int | None:
        """How many steps were done where the loss in validation was lowest."""
        return None if self.progress.best is None else self.progress.best.step

    def name_replaced(self, batch: Batch, *, step: int, is_trained: bool) -> None:
        """Keep the images of this rank's part of a batch that gave way to others."""
        self.replaced += [NamedImage(step, is_trained, pair) for pair in batch.replaced]

    def close(self) -> None:
        """Let go of what the run holds."""
        with ExitStack() as closed:  # each, whatever the others raise
            closed.callback(zero.stop_engine, self.engine)
            closed.callback(self.saver.close)
            closed.callback(self.data.close)
            if self.held_out is not None:
                closed.callback(self.held_out.close)
            if self.journal is not None:
                closed.callback(self.journal.close)


def set_up(
    config: TrainConfig,
    ranks: RankGroup,
    inputs: RunInputs,
    at: Mark,
    *,
    rewinds: Sequence[Rewind] = (),
) -> TrainingState:
    """Return a run at its newest checkpoint, or at its start; all ranks must call it.

    With `rewinds`, which are all that were done, it is the newest before the steps that the last
    of them undoes. Checkpoints beyond those are removed.

    Raises:
        ConfigError: the ranks cannot share the blocks, the batch is larger than the data, or the
            warm-up is as long as the run.
        StageError: no checkpoint is whole, or there is no room for one.
    """
    at(0, STARTS)
    share = block_share(config, rank=ranks.rank, world_size=ranks.world_size)
    orders = orders_of(config, inputs.index)
    steps = _checked_steps(config, num_pairs=len(orders.trained))
    folders = inputs.folders
    checkpoints = _checkpoints(folders, at)
    found = _newest(checkpoints, ranks, inputs, rewinds)
    other = None if found else _of_other_run(inputs, config, ranks, at, total_steps=steps)
    if ranks.rank == 0 and not brings_words(config.init_from):
        save_vocabulary(str(folders.result / VOCABULARY_FILE), inputs.vocabulary)
    towers = build_towers(
        config, vocabulary_size=len(inputs.vocabulary), pretrained=inputs.pretrained
    )
    if other is not None:
        found = other
        going_on.check_towers(other, towers)
    optimizer = build_optimizer(towers, config)
    progress = found.progress if found else Progress(sample_hash=inputs.first_hash)
    to_come = partial(room.num_to_come, config, step=progress.step, total_steps=steps)
    on_rank_0(ranks, lambda: _require_room(checkpoints, towers, optimizer, to_come))
    engine = resume.engine_from(found, towers, optimizer, config, ranks)
    _note_start(progress, ranks, config, rewinds)
    data, held_out = _opened(config, inputs, orders, progress, device=ranks.device)
    journals: list[Journal] = []
    made = partial(_journal, folders, progress, data, config, steps, ranks=ranks)
    on_rank_0(ranks, lambda: journals.append(made()))
    return TrainingState(
        config=config,
        ranks=ranks,
        share=share,
        data=data,
        held_out=held_out,
        vocabulary=inputs.vocabulary,
        engine=engine,
        optimizer=optimizer,
        total_steps=steps,
        progress=progress,
        saved_step=progress.step,
        saver=Saver(checkpoints, ranks, _terms(config, inputs)),
        journal=journals[0] if journals else None,
    )


def _checkpoints(folders: Folders, at: Mark) -> CheckpointFolder:
    return CheckpointFolder(
        url=folders.checkpoints, scratch=folders.scratch, fence=folders.fence, moved=at.moved
    )


def _opened(
    config: TrainConfig,
    inputs: RunInputs,
    orders: Orders,
    progress: Progress,
    *,
    device: torch.device,
) -> tuple[TrainingSet, TrainingSet | None]:
    """Return the pairs that are trained on, and those that are validated on."""
    opened = partial(
        open_pairs,
        config,
        inputs.index,
        inputs.vocabulary,
        inputs.shards,
        device=device,
        pretrained=inputs.pretrained,
    )
    data = opened(order=orders.trained, passed_over=progress.passed_over)
    if orders.held_out is None:
        return data, None
    return data, opened(order=orders.held_out, is_trained=False)


def _checked_steps(config: TrainConfig, *, num_pairs: int) -> int:
    """Return how many steps the run takes, once so many pairs are known to be enough for it."""
    check_batch_size(config.global_batch_size, num_pairs=num_pairs)
    steps = total_steps(
        config.duration, num_pairs=num_pairs, global_batch_size=config.global_batch_size
    )
    check_warmup(config.schedule, steps)
    return steps


def _note_start(
    progress: Progress, ranks: RankGroup, config: TrainConfig, rewinds: Sequence[Rewind]
) -> None:
    start = Start(step=progress.step, world_size=ranks.world_size, zero_stage=config.zero.stage)
    progress.starts = [*progress.starts, start]
    progress.rewinds = list(rewinds) or progress.rewinds


def _terms(config: TrainConfig, inputs: RunInputs) -> CheckpointTerms:
    return CheckpointTerms(
        made_from=inputs.made_from,
        settings=to_plain(config),
        keep=config.keep_checkpoints,
        keep_every_steps=config.keep_every_steps,
        beside=inputs.folders.beside,
        replaced=inputs.folders.result / REPLACED_FILE,
        vocabulary="" if brings_words(config.init_from) else vocabulary_hash(inputs.vocabulary),
        notes=inputs.folders.notes,
        index_check=inputs.index_check,
        undone_steps=undone_steps(config.loss_spikes),
    )


def vocabulary_of(pretrained: Pretrained | None, url: str) -> list[str]:
    """Return the word pieces that come along, or those that were learned and lie at `url`."""
    if pretrained is not None and pretrained.words is not None:
        return pretrained.pieces()
    return load_vocabulary(url)


def open_pairs(
    config: TrainConfig,
    index: TrainingIndex,
    vocabulary: Sequence[str],
    shards: ShardReader,
    *,
    device: torch.device,
    pretrained: Pretrained | None = None,
    passed_over: Sequence[BatchRange] = (),
    order: Order | None = None,
    is_trained: bool = True,
) -> TrainingSet:
    """Return the training pairs as a run on a device sees them; close them.

    An order is one of `orders_of`; None stands for the one of training. What is not trained on is
    not augmented, and where an image gives way, then to the next.
    """
    preprocess = preprocess_of(config.model) if pretrained is None else pretrained.preprocess
    if pretrained is not None and pretrained.words is not None:
        tokenizer = pretrained.words.tokenizer
        if config.compile:
            tokenizer = padded_to_most(tokenizer)
    else:
        tokenizer = build_tokenizer(vocabulary, preprocess, fixed_length=config.compile)
    replace_after = config.global_batch_size if is_trained else 1
    return TrainingSet(
        index,
        order=orders_of(config, index).trained if order is None else order,
        shards=shards,
        preprocess=preprocess,
        tokenizer=tokenizer,
        augmentation=config.augmentation if is_trained else _NO_AUGMENTATION,
        seed=config.seed,
        decode_threads=config.decode_threads,
        image_cache_mb=config.image_cache_mb,
        replace_after=replace_after if config.bad_images == "replace" else 0,
        passed_over=passed_over,
        read_timeout_seconds=config.read_timeout_seconds,
        pinned=device.type == "cuda",
    )


def _newest(
    checkpoints: CheckpointFolder, ranks: RankGroup, inputs: RunInputs, rewinds: Sequence[Rewind]
) -> resume.FoundCheckpoint | None:
    """Return what the run goes on from, with the files beside it on this machine."""

    def prepare() -> None:
        if ranks.rank == 0 or (is_first_of_machine() and not checkpoints.is_local):
            checkpoints.drop_unfinished()

    together(prepare)
    if rewinds:
        to = rewinds[-1].back_to
        found = resume.go_back(checkpoints, ranks, made_from=inputs.made_from, to=to)
    else:
        found = resume.find_newest(checkpoints, ranks, made_from=inputs.made_from)
    if found is not None:
        found.check_vocabulary(inputs.vocabulary, hint=_LEARN_AGAIN)
        on_rank_0(ranks, lambda: fetch_beside(inputs.folders))
    return found


def _of_other_run(
    inputs: RunInputs, config: TrainConfig, ranks: RankGroup, at: Mark, *, total_steps: int
) -> resume.FoundCheckpoint | None:
    if inputs.other_run is None:
        return None
    found = going_on.checkpoint_of(
        inputs.other_run,
        config,
        ranks,
        scratch=inputs.folders.scratch,
        total_steps=total_steps,
        moved=at.moved,
    )
    return going_on.as_beginning(found, inputs.made_from, config, first_hash=inputs.first_hash)


def _require_room(
    checkpoints: CheckpointFolder,
    towers: Towers,
    optimizer: ShardedOptimizer,
    to_come: Callable[[Collection[int]], int],
) -> None:
    needed = room.bytes_of_checkpoint(
        trained_parameters(towers).values(),
        unmoved_tensors(towers).values(),
        num_kept=len(optimizer.kept),
    )
    # Under a URL each passes through this machine.
    at_once = to_come(checkpoints.steps()) if checkpoints.is_local else 1
    room.require_room(checkpoints.room, needed, at_once=at_once)


def _journal(
    folders: Folders,
    progress: Progress,
    data: TrainingSet,
    config: TrainConfig,
    steps: int,
    *,
    ranks: RankGroup,
) -> Journal:
    def check() -> None:
        if folders.fence is not None and storage.is_local(folders.output):
            folders.fence.check()  # other machines see the folder, too

    start, curves = progress.starts[-1], None
    if config.wandb is not None:
        curves = WandbRun(config.wandb, folders.result, config=to_plain(config))
    opened = Journal(
        folders.result,
        first_step=start.step,
        total_steps=steps,
        check=check,
        wandb_run=curves,
        utilization=utilization_of(config, device=ranks.device, world_size=ranks.world_size),
    )
    opened.tell_lost(progress.num_lines)
    opened.started(start.step, len(data), ranks=start.world_size, zero_stage=start.zero_stage)
    size = config.global_batch_size
    opened.rewound(
        [
            msgspec.structs.asdict(each)
            | {"keys": data.keys(data.rows((each.stop_batch - 1) * size, each.stop_batch * size))}
            for each in progress.rewinds
            if each.step >= progress.first_step  # not another run's
        ]
    )
    return opened
