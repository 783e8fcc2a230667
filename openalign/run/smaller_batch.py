"""What lets a training start with fewer pairs than its settings need."""

from collections.abc import Iterator
from dataclasses import replace

from openalign.errors import ConfigError
from openalign.run.stage_work import training
from openalign.train.block_shares import largest_block
from openalign.train.config import TrainConfig, pairs_per_block
from openalign.train.optim.schedule import pairs_needed
from openalign.train.presets import LEAST_BLOCK, block_multiple


def fewer_pairs_hint(train: TrainConfig, num_pairs: int) -> str:
    """Return settings that such a number of pairs can be tried with, or what needs fewer."""
    for batch in _batches(train, num_pairs):
        tried = _with_batch(train, batch, num_pairs)
        if tried is not None and _can_start(tried, num_pairs):
            return f"gather more, loosen the rules, or try {_changes(train, tried)}"
    needs_fewer = [
        ("fewer ranks (`train.num_processes`)", train.num_processes > 1),
        ("fewer pairs to validate on (`train.validation`)", train.validation is not None),
        ("smaller groups of ghost batch norm", _multiple(train) > LEAST_BLOCK),
    ]
    helps = [f"; or try {words}" for words, is_so in needs_fewer if is_so]
    return "".join(["gather more, or loosen the rules", *helps])


def _batches(train: TrainConfig, num_pairs: int) -> Iterator[int]:
    """Yield the batch as it is, then smaller ones of equal shares, one for each rank."""
    yield train.global_batch_size
    step = _num_shares(train) * _multiple(train)
    least = _num_shares(train) * max(LEAST_BLOCK, _multiple(train))
    batch = 1 << max(min(num_pairs // 8, train.global_batch_size), 1).bit_length() - 1
    while batch > least:
        yield batch - batch % step
        batch //= 2
    yield least


def _with_batch(train: TrainConfig, batch: int, num_pairs: int) -> TrainConfig | None:
    """Return the settings with another batch, and blocks and a warm-up for it, or None."""
    block = largest_block(
        train.model.image_tower.batch_norm,
        batch_size=batch,
        num_ranks=_num_shares(train),
        up_to=train.pairs_per_block,
    )
    if block is None:
        return None
    is_given = block == pairs_per_block(batch, train.block_size)
    size = train.block_size if is_given else block
    tried = replace(train, global_batch_size=batch, block_size=size)
    epochs, warmup = train.duration.epochs, train.schedule.warmup_steps
    held_out = 0 if train.validation is None else train.validation.batches * batch
    if epochs is not None and (steps := int(epochs * (num_pairs - held_out) / batch)) <= warmup:
        return replace(tried, schedule=replace(train.schedule, warmup_steps=max(0, steps // 10)))
    return tried


def _can_start(train: TrainConfig, num_pairs: int) -> bool:
    try:
        training.check_ranks(train)
    except ConfigError:
        return False
    return pairs_needed(train) <= num_pairs


def _changes(train: TrainConfig, tried: TrainConfig) -> str:
    changes = {
        "global_batch_size": (train.global_batch_size, tried.global_batch_size),
        "block_size": (train.block_size, tried.block_size),
        "schedule.warmup_steps": (train.schedule.warmup_steps, tried.schedule.warmup_steps),
    }
    return " ".join(
        f"--set train.{name}={new}" for name, (old, new) in changes.items() if new != old
    )


def _num_shares(train: TrainConfig) -> int:
    return max(1, train.num_processes)


def _multiple(train: TrainConfig) -> int:
    return block_multiple(train.model.image_tower.batch_norm)
