"""The paper's recipes of fine-tuning on labeled images (ALIGN §5.3), and VTAB's from a trial."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from openalign.settings.fields import runtime
from openalign.settings.limits import not_negative, positive
from openalign.train.config import Duration, ZeroConfig
from openalign.train.sweep.bit import (
    BIT_RANGES,
    DECAY,
    DROPOUT,
    LEARNING_RATE,
    MIXUP,
    RESOLUTION_PX,
    UPDATES,
)
from openalign.train.sweep.ranges import Choice, Range

VTAB_BATCH_SIZE = 64
"""Of VTAB's own example script; the paper does not say."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNetRecipe:
    """ImageNet's two stages (Table 5): the head alone, then all layers at a larger resolution."""

    kind: Literal["imagenet"] = "imagenet"
    """Which recipe: ImageNet's."""

    epochs: float = 100.0
    """Passes over the training images of each stage; the rate falls to a fifth after 30, 60 and
    90 % of them."""

    batch_size: int = 1024
    """Images a step."""

    head_learning_rate: float = 0.1
    """Of the first stage, at its start."""

    learning_rate: float = 0.01
    """Of the head in the second stage, at its start."""

    tower_share: float = 0.1
    """Learning rate of the tower, as a share of the head's."""

    weight_decay: float = 0.0
    """Towards zero, for all parameters that are trained."""

    head_train_px: int = 289
    """Side of the crops that the head is trained on."""

    head_eval_px: int = 360
    """Side of the crops that the head is tested on."""

    train_px: int = 475
    """Side of the crops that all layers are trained on."""

    eval_px: int = 600
    """Side of the crops that all layers are tested on."""

    runs: int = 1
    """How often both stages are trained; scores are means."""

    def __post_init__(self) -> None:
        _check(self)
        positive(
            epochs=self.epochs,
            tower_share=self.tower_share,
            head_train_px=self.head_train_px,
            head_eval_px=self.head_eval_px,
        )

    @property
    def stages(self) -> tuple[Recipe, ...]:
        """The head's stage, and that of all layers."""
        shared: dict[str, Any] = {
            "batch_size": self.batch_size,
            "duration": Duration(epochs=self.epochs),
            "weight_decay": self.weight_decay,
        }
        head = replace(
            IMAGENET_HEAD,
            **shared,
            learning_rate=self.head_learning_rate,
            train_px=self.head_train_px,
            eval_px=self.head_eval_px,
        )
        return head, replace(
            IMAGENET_ALL,
            **shared,
            learning_rate=self.learning_rate,
            tower_share=self.tower_share,
            train_px=self.train_px,
            eval_px=self.eval_px,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FineGrainedRecipe:
    """The two stages for Flowers, Pets, Cars and Food101 (Table 7): the head, then all layers.

    In the second the statistics of batch norms stay as they were.
    """

    kind: Literal["fine_grained"] = "fine_grained"
    """Which recipe: that of the fine-grained sets."""

    steps: int = 20_000
    """Updates of each stage; the paper may mean both together."""

    batch_size: int = 256
    """Images a step; a smaller set goes in whole."""

    head_learning_rate: float = 1e-2
    """Of the first stage, at its start; it falls along a cosine."""

    learning_rate: float = 1e-3
    """Of the second stage, at its start."""

    weight_decay: float = 1e-5
    """Towards zero, for all parameters that are trained."""

    train_px: int = 289
    """Side of the crops that are trained on."""

    eval_px: int = 360
    """Side of the crops that are tested on."""

    runs: int = 3
    """How often both stages are trained; scores are means (Table 7)."""

    def __post_init__(self) -> None:
        _check(self)
        positive(steps=self.steps)

    @property
    def stages(self) -> tuple[Recipe, ...]:
        """The head's stage, and that of all layers."""
        shared: dict[str, Any] = {
            "batch_size": self.batch_size,
            "duration": Duration(steps=self.steps),
            "weight_decay": self.weight_decay,
            "train_px": self.train_px,
            "eval_px": self.eval_px,
        }
        return (
            replace(FINE_GRAINED_HEAD, **shared, learning_rate=self.head_learning_rate),
            replace(FINE_GRAINED_ALL, **shared, learning_rate=self.learning_rate),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VtabRecipe:
    """VTAB-1k's (Table 6): settings are swept, and the best ones trained on all that is known."""

    kind: Literal["vtab"] = "vtab"
    """Which recipe: VTAB-1k's."""

    trials: int = 50
    """Settings that are tried on the training images and judged by those of `validation_split`."""

    validation_split: str = "val200"
    """Its images choose the settings; then they are trained on, too."""

    batch_size: int = VTAB_BATCH_SIZE
    """Images a step, as in VTAB's own example script; the paper does not say."""

    updates: tuple[int, ...] = (500, 1_000, 2_000, 4_000, 8_000, 16_000)
    """Numbers of steps that are tried, as in BiT's appendix A."""

    resolutions_px: tuple[int, ...] = (64, 128, 192, 256, 320, 384)
    """Sides of crops that are tried, in training and in the test, as in BiT's appendix A."""

    runs: int = 3
    """How often the best settings are trained; the score is the mean."""

    def __post_init__(self) -> None:
        positive(trials=self.trials, runs=self.runs)
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, got {self.batch_size}")
        for name in ("updates", "resolutions_px"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name} must have a value, got none")
            for value in values:
                positive(**{name: value})

    @property
    def ranges(self) -> dict[str, Range]:
        """What settings are drawn from."""
        return BIT_RANGES | {
            UPDATES: Choice(tuple(map(float, self.updates))),
            RESOLUTION_PX: Choice(tuple(map(float, self.resolutions_px))),
        }


def _check(recipe: ImageNetRecipe | FineGrainedRecipe) -> None:
    positive(
        head_learning_rate=recipe.head_learning_rate,
        learning_rate=recipe.learning_rate,
        train_px=recipe.train_px,
        eval_px=recipe.eval_px,
        runs=recipe.runs,
    )
    not_negative(weight_decay=recipe.weight_decay)
    if recipe.batch_size < 2:
        raise ValueError(f"batch_size must be at least 2, got {recipe.batch_size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneEngine:
    """How the training engine takes the steps of a recipe; they are described with `train`."""

    block_size: int | None = None
    """Images that go through the tower together, by whose statistics they are normalized; a batch
    has no fewer blocks than there are processes. Null: the whole batch up to 256 images."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: the tower runs under autocast; weights and loss stay fp32."""

    zero: ZeroConfig = field(default_factory=ZeroConfig)
    """How DeepSpeed spreads states, gradients and parameters over the processes."""

    gradient_checkpointing: bool = runtime(False)
    """Recompute each layer in the backward pass, to save memory; no gradient changes."""

    checkpoint_every_steps: int = runtime(1000)
    """Steps between two checkpoints: a crash costs no more."""

    hang_minutes: float | None = runtime(15.0)
    """End a training in which no process gets on for so long; null: wait for ever."""

    decode_threads: int = runtime(4)
    """Threads of a process that read, decode and crop images ahead of the step."""

    def __post_init__(self) -> None:
        positive(
            checkpoint_every_steps=self.checkpoint_every_steps,
            decode_threads=self.decode_threads,
        )
        if self.hang_minutes is not None:
            positive(hang_minutes=self.hang_minutes)
        if self.block_size is not None and self.block_size < 2:
            raise ValueError(f"block_size must be at least 2, got {self.block_size}")


VTAB_FALLS = Steps(factor=0.1, at=(0.3, 0.6, 0.9))
"""Of BiT and of VTAB's own example script; the paper does not say."""


def vtab_recipe(trial: Mapping[str, float], *, batch_size: int = VTAB_BATCH_SIZE) -> Recipe:
    """Return the recipe of a trial that was drawn from `BIT_RANGES`.

    The trial's resolution is that of training and of evaluation, as in BiT.
    """
    side_px = int(trial[RESOLUTION_PX])
    return Recipe(
        trained="all",
        train_px=side_px,
        eval_px=side_px,
        batch_size=batch_size,
        duration=Duration(steps=int(trial[UPDATES])),
        learning_rate=trial[LEARNING_RATE],
        falls=VTAB_FALLS,
        decay_to_initial=trial[DECAY],
        dropout=trial[DROPOUT],
        mixup=trial[MIXUP],
    )
