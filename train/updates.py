"""Settings of updates (ALIGN §5): the optimizers, the temperature's rule, rates over time, spikes.

Every default is the paper's or says that it is not.
"""

from dataclasses import dataclass
from typing import Literal

from openalign.settings.fields import runtime, usually_called
from openalign.settings.limits import not_negative, positive, share

_USUAL_NAMES = {"lr": "learning_rate", "wd": "weight_decay"}


@usually_called(_USUAL_NAMES)
@dataclass(frozen=True, slots=True, kw_only=True)
class Lamb:
    """LAMB with one trust ratio a parameter, whatever the ZeRO stage (ALIGN §5)."""

    kind: Literal["lamb"] = "lamb"
    """Which optimizer: LAMB."""

    learning_rate: float = 1e-3
    """Learning rate at the schedule's peak."""

    weight_decay: float = 1e-5
    """Added to the update before the trust ratio is taken, as in LAMB."""

    beta1: float = 0.9
    """Memory of the first moment; this, `beta2` and `epsilon` are TensorFlow Addons' defaults."""

    beta2: float = 0.999
    """Memory of the second moment."""

    epsilon: float = 1e-6
    """Added to the root of the second moment."""

    decayed: Literal["matrices", "all"] = "matrices"
    """Which parameters decay: those of two or more dimensions, or biases and norms too."""

    adapted: Literal["matrices", "all"] = "matrices"
    """Which parameters have their update scaled to their own norm; the same choice."""

    trust_ratio_at_most: float = 10.0
    """Bound of the ratio of norms, as in DeepSpeed's own LAMB; the paper does not say."""

    def __post_init__(self) -> None:
        _check_moments(self)
        positive(trust_ratio_at_most=self.trust_ratio_at_most)


@usually_called(_USUAL_NAMES)
@dataclass(frozen=True, slots=True, kw_only=True)
class AdamW:
    """AdamW: better than LAMB where batches are small and runs are short."""

    kind: Literal["adamw"] = "adamw"
    """Which optimizer: AdamW."""

    learning_rate: float = 1e-3
    """Learning rate at the schedule's peak."""

    weight_decay: float = 1e-5
    """Decoupled: a share of the parameter, times the learning rate."""

    beta1: float = 0.9
    """Memory of the first moment."""

    beta2: float = 0.999
    """Memory of the second moment."""

    epsilon: float = 1e-8
    """Added to the root of the second moment."""

    decayed: Literal["matrices", "all"] = "matrices"
    """Which parameters decay: those of two or more dimensions, or biases and norms too."""

    def __post_init__(self) -> None:
        _check_moments(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """The learned scalar that divides the logits; it has a rule of its own and never decays.

    LAMB takes far more than a few thousand steps from 1 to 1/64, where the paper's converges.
    """

    initial: float = 1.0
    """Value at the start (ALIGN §4.1)."""

    learning_rate: float = 1e-3
    """Learning rate at the schedule's peak."""

    relative: bool = True
    """Multiply Adam's step by the temperature, so that it moves by a share of itself."""

    at_least: float = 0.01
    """Lower bound; the paper's converges to about 0.016."""

    def __post_init__(self) -> None:
        positive(initial=self.initial, learning_rate=self.learning_rate, at_least=self.at_least)
        if self.initial < self.at_least:
            raise ValueError(
                f"initial must be at least at_least, got {self.initial} and {self.at_least}"
            )


@usually_called({"warmup": "warmup_steps"})
@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How the learning rates rise and fall."""

    warmup_steps: int = 10_000
    """Steps of the linear rise from 0; they are part of the duration."""

    decay: Literal["linear", "cosine"] = "linear"
    """Shape of the fall, which would reach 0 one step after the last: no step has a rate of 0."""

    def __post_init__(self) -> None:
        not_negative(warmup_steps=self.warmup_steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ema:
    """An exponential moving average of the weights, kept beside them in fp32; not in the paper."""

    decay: float = 0.9999
    """Weight of the past. After update t it is (1 + t) / (10 + t) where that is less."""

    def __post_init__(self) -> None:
        if not 0 < self.decay < 1:
            raise ValueError(f"decay must be above 0 and below 1, got {self.decay}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipSpikes:
    """Drop the update of a step whose loss is a spike; not in the paper."""

    kind: Literal["skip"] = "skip"
    """What happens at a loss spike: nothing is updated."""

    window_steps: int = 128
    """The last losses that a loss is measured by; before there are so many, none is a spike."""

    deviations: float = 6.0
    """A spike is above their mean by more than so many of their standard deviations."""

    def __post_init__(self) -> None:
        _check_spikes(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RewindSpikes:
    """Undo the steps that led to a loss spike, and go on with other pairs; not in the paper."""

    kind: Literal["rewind"] = "rewind"
    """What happens at a loss spike: the run goes back."""

    window_steps: int = 128
    """The last losses that a loss is measured by; before there are so many, none is a spike."""

    deviations: float = 6.0
    """A spike is above their mean by more than so many of their standard deviations."""

    undone_steps: int = 100
    """Steps that are undone, that of the spike among them; their pairs are passed over."""

    at_most: int = runtime(10)
    """Stop at a spike after so many rewinds."""

    def __post_init__(self) -> None:
        _check_spikes(self)
        positive(undone_steps=self.undone_steps, at_most=self.at_most)


def _check_spikes(rule: SkipSpikes | RewindSpikes) -> None:
    positive(deviations=rule.deviations)
    if rule.window_steps < 2:
        raise ValueError(f"window_steps must be at least 2, got {rule.window_steps}")


def _check_moments(optimizer: Lamb | AdamW) -> None:
    positive(learning_rate=optimizer.learning_rate, epsilon=optimizer.epsilon)
    share(beta1=optimizer.beta1, beta2=optimizer.beta2)
    not_negative(weight_decay=optimizer.weight_decay)
