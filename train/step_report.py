"""What a step came to, and what is noted and shown of it."""

import math
from dataclasses import dataclass

from torch import Tensor

from openalign.telemetry import say
from openalign.train import journal, zero
from openalign.train.spikes import Spike
from openalign.train.state import TrainingState


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """How a step ended."""

    loss: float
    gradient_norm: float
    temperature: float
    """What the loss was divided by."""

    num_replaced: int
    """Images of the global batch that could not be decoded."""

    unknown_share: float
    """Of the global batch's word pieces."""

    stop: bool
    """Whether any rank was asked to stop behind it."""

    spike: Spike | None
    """What made the loss one, where that is told."""

    @property
    def taken(self) -> bool:
        """Whether the towers were updated."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


def report(
    state: TrainingState,
    step: int,
    outcome: StepOutcome,
    *,
    validation_loss: float | None,
    waited: float,
) -> None:
    """Note and show a step, behind which pairs may have been validated on; every rank calls it.

    `waited` is how many seconds its pairs came too late.
    """
    config = state.config
    due = (step + 1) % config.log_every_steps == 0 or step + 1 == state.total_steps
    is_written = outcome.taken and (due or validation_loss is not None)
    temperature = _temperature(state) if is_written else None  # on every rank: it may gather
    if state.journal is None:
        return
    values: dict[str, float] = {}
    if temperature is not None:
        size = config.global_batch_size
        seen = state.data.first_position(step, global_batch_size=size) + size
        values = {
            journal.LOSS: outcome.loss,
            journal.TEMPERATURE: float(temperature),  # which waits for the device: here alone
            journal.LEARNING_RATE: state.optimizer.learning_rate,
            journal.GRADIENT_NORM: outcome.gradient_norm,
            journal.EPOCH: seen / len(state.data),
            journal.UNKNOWN_SHARE: outcome.unknown_share,
        }
        if config.bad_images == "replace":
            values[journal.REPLACED] = outcome.num_replaced
        spread = state.optimizer.trust_ratios.smallest_and_largest()
        if spread is not None:
            values[journal.TRUST_RATIO_MIN], values[journal.TRUST_RATIO_MAX] = spread
    if validation_loss is not None:
        say(f"train     {_validation_words(state, step + 1, validation_loss)}")
        if math.isfinite(validation_loss):
            values[journal.VALIDATION_LOSS] = validation_loss
    if values:
        state.journal.step(step, values)
    state.journal.passed(
        step,
        num_samples=config.global_batch_size,
        waited=waited,
        shown=f"loss {outcome.loss:.3f}  temperature {outcome.temperature:.4f}",
    )


def _validation_words(state: TrainingState, num_done: int, loss: float) -> str:
    best = state.progress.best
    words = f"validation loss {loss:.3f} behind {num_done:,} of {state.total_steps:,} steps"
    if best is None:
        return words
    if best.step == num_done:
        return f"{words}, the lowest so far"
    return f"{words}; the lowest is {best.loss:.3f}, behind {best.step:,}"


def _temperature(state: TrainingState) -> Tensor:
    return zero.whole_parameter(state.engine.module.temperature)
