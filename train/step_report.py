"""What a step came to, and what is noted and shown of it."""

import math
from dataclasses import dataclass

import torch

from openalign.train import journal, zero
from openalign.train.spikes import Spike
from openalign.train.state import TrainingState
from openalign.train.validation import validation_values


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """How a step ended."""

    loss: float
    gradient_norm: float
    temperature: float
    """What the loss was divided by."""

    num_replaced: int
    """Images of the global batch that could not be decoded."""

    num_pieces: int
    """Word pieces of the global batch."""

    num_unknown: int
    """How many of them stand for words that no pieces make up."""

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
    """Note and show a step, before which held-out pairs may have been looked at.

    `waited` is how many seconds its pairs came too late. Ranks without a journal do nothing.
    """
    config = state.config
    if state.journal is None:
        return
    values = validation_values(validation_loss)
    due = (step + 1) % config.log_every_steps == 0 or step + 1 == state.total_steps
    if outcome.taken and (due or values):
        temperature, *spread = _left_by_step(state)
        size = config.global_batch_size
        seen = state.data.first_position(step, global_batch_size=size) + size
        values |= {
            journal.LOSS: outcome.loss,
            journal.TEMPERATURE: temperature,
            journal.LEARNING_RATE: state.optimizer.learning_rate,
            journal.GRADIENT_NORM: outcome.gradient_norm,
            journal.EPOCH: seen / len(state.data),
            journal.UNKNOWN_SHARE: outcome.num_unknown / max(outcome.num_pieces, 1),
        }
        if config.bad_images == "replace":
            values[journal.REPLACED] = outcome.num_replaced
        if spread and math.isfinite(spread[0]):
            values[journal.TRUST_RATIO_MIN], values[journal.TRUST_RATIO_MAX] = spread
    if values:
        state.journal.step(step, values)
    state.journal.passed(
        step,
        num_samples=config.global_batch_size,
        num_tokens=outcome.num_pieces,
        waited=waited,
        shown=f"loss {outcome.loss:.3f}  temperature {outcome.temperature:.4f}",
    )


def _left_by_step(state: TrainingState) -> list[float]:
    """Return the temperature and both ends of the trust ratios, if any; rank 0 alone calls this.

    It waits for the device behind the update, and only where a line is written.
    """
    temperature = zero.on_first_rank(state.engine.module.temperature)
    return torch.cat([temperature, *state.optimizer.trust_ratios.ends()]).tolist()
