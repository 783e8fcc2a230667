"""The share of the peak learning rate that a step uses (ALIGN §5: linear up, linear down to 0)."""

import math

from openalign.errors import ConfigError
from openalign.train.config import Duration, TrainConfig
from openalign.train.updates import Schedule


def learning_rate_factor(step: int, *, total_steps: int, schedule: Schedule) -> float:
    """Return the factor of step `step`, counted from 0.

    The warm-up reaches 1 with its last step, so no step has a rate of 0; the fall starts from 1
    with the first step after it and would reach 0 with the step after the last.
    """
    warmup_steps = schedule.warmup_steps
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    if schedule.decay == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    return 1.0 - progress


def total_steps(duration: Duration, *, num_pairs: int, global_batch_size: int) -> int:
    """Return how many steps a run takes."""
    if duration.steps is not None:
        return duration.steps
    assert duration.epochs is not None
    return math.ceil(duration.epochs * num_pairs / global_batch_size)


def pairs_needed(config: TrainConfig) -> int:
    """Return the fewest pairs that a training can start with.

    A batch holds no pair twice, and where the duration is in epochs they must outlast the warm-up.
    Those that are validated on come on top, each of another image.
    """
    epochs, warmup, size = (
        config.duration.epochs,
        config.schedule.warmup_steps,
        config.global_batch_size,
    )
    held_out = 0 if config.validation is None else config.validation.batches * size
    if epochs is None:
        return size + held_out
    return max(size, math.floor(warmup * size / epochs) + 1) + held_out


def check_warmup(schedule: Schedule, total_steps: int) -> None:
    """Refuse a warm-up that leaves no step at the peak, once epochs are known as steps.

    Raises:
        ConfigError: it names both numbers.
    """
    if schedule.warmup_steps >= total_steps:
        raise ConfigError(
            f"`train.schedule.warmup_steps` is {schedule.warmup_steps}, and the run is only "
            f"{total_steps} steps long: the warm-up is part of the duration",
            hint="shorten the warm-up, or train for more epochs",
        )
