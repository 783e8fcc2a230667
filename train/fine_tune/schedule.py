"""The share of its first learning rate that a step of fine-tuning takes (ALIGN §5.3)."""

from openalign.train.fine_tune.recipes import Cosine, Steps
from openalign.train.optim.schedule import learning_rate_factor
from openalign.train.updates import Schedule

_WITHOUT_WARMUP = Schedule(warmup_steps=0, decay="cosine")


def falling_factor(falls: Steps | Cosine, step: int, *, total_steps: int) -> float:
    """Return the factor of step `step`, counted from 0."""
    if isinstance(falls, Cosine):
        return learning_rate_factor(step, total_steps=total_steps, schedule=_WITHOUT_WARMUP)
    passed = sum(step >= share * total_steps for share in falls.at)
    return falls.factor**passed
