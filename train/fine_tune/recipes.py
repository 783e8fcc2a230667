"""The paper's recipes of fine-tuning on labeled images (ALIGN §5.3), and VTAB's from a trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from openalign.train.config import Duration
from openalign.train.sweep.bit import (
    DECAY,
    DROPOUT,
    LEARNING_RATE,
    MIXUP,
    RESOLUTION_PX,
    UPDATES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A rate that falls at once, by a factor, at some shares of the training."""

    factor: float
    at: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """A rate that falls along half a cosine, to zero one step after the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One stage of fine-tuning: SGD with momentum 0.9 on softmax cross-entropy."""

    trained: Literal["head", "all"]
    """The head alone, on a tower in evaluation mode, or all layers."""

    batch_norm: Literal["trained", "frozen"] = "trained"
    """Whether batch norms go on with their statistics where all layers are trained."""

    train_px: int
    """About 0.8 of `eval_px` (FixRes): a random crop shows objects larger than a central one."""

    eval_px: int
    batch_size: int
    duration: Duration

    learning_rate: float
    """Of the head, at the start."""

    tower_share: float = 1.0
    """Learning rate of the tower, as a share of the head's."""

    falls: Steps | Cosine

    weight_decay: float = 0.0
    """Towards zero, for all parameters that are trained."""

    decay_to_initial: float = 0.0
    """Towards the weights of the start, as in BiT."""

    dropout: float = 0.0
    """Chance that a feature is dropped before the head."""

    mixup: float = 0.0
    """MixUp's alpha; 0 mixes nothing."""


IMAGENET_HEAD = Recipe(
    trained="head",
    train_px=289,
    eval_px=360,
    batch_size=1024,
    duration=Duration(epochs=100),
    learning_rate=0.1,
    falls=Steps(factor=0.2, at=(0.3, 0.6, 0.9)),  # every 30 of 100 epochs
)
"""The frozen row of Table 5, and the start of the fine-tuned one."""

IMAGENET_ALL = Recipe(
    trained="all",
    train_px=475,
    eval_px=600,
    batch_size=1024,
    duration=Duration(epochs=100),
    learning_rate=0.01,
    tower_share=0.1,
    falls=Steps(factor=0.2, at=(0.3, 0.6, 0.9)),
)
"""The fine-tuned row of Table 5, from the head of `IMAGENET_HEAD`."""

FINE_GRAINED_HEAD = Recipe(
    trained="head",
    train_px=289,
    eval_px=360,
    batch_size=256,
    duration=Duration(steps=20_000),
    learning_rate=1e-2,
    falls=Cosine(),
    weight_decay=1e-5,
)
"""First stage of Table 7. Its 20,000 steps may be those of both stages; here each has them."""

FINE_GRAINED_ALL = Recipe(
    trained="all",
    batch_norm="frozen",
    train_px=289,
    eval_px=360,
    batch_size=256,
    duration=Duration(steps=20_000),
    learning_rate=1e-3,
    falls=Cosine(),
    weight_decay=1e-5,
)
"""Second stage of Table 7."""

FINE_GRAINED_RUNS = 3
"""Table 7 has the mean of so many."""

VTAB_BATCH_SIZE = 64
"""Of VTAB's own example script; the paper does not say."""

VTAB_FALLS = Steps(factor=0.1, at=(0.3, 0.6, 0.9))
"""Of BiT and of VTAB's own example script; the paper does not say."""


def vtab_recipe(trial: Mapping[str, float]) -> Recipe:
    """Return the recipe of a trial that was drawn from `BIT_RANGES`.

    The trial's resolution is that of training and of evaluation, as in BiT.
    """
    side_px = int(trial[RESOLUTION_PX])
    return Recipe(
        trained="all",
        train_px=side_px,
        eval_px=side_px,
        batch_size=VTAB_BATCH_SIZE,
        duration=Duration(steps=int(trial[UPDATES])),
        learning_rate=trial[LEARNING_RATE],
        falls=VTAB_FALLS,
        decay_to_initial=trial[DECAY],
        dropout=trial[DROPOUT],
        mixup=trial[MIXUP],
    )
