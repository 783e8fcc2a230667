"""LAMB whose trust ratios belong to whole parameters, whatever ZeRO cuts them into (ALIGN §5).

Under ZeRO an optimizer gets flat shards that hold pieces of many parameters. A plain LAMB takes
one trust ratio a shard, which moves single tensors 0.1 to 25 times as far as it should. Here a
`ShardLayout` says which piece of a shard belongs to which parameter. Squared norms of the pieces
are summed over ranks, and each piece is scaled by the ratio of its whole parameter. This costs one
all-reduce of two numbers a parameter.

Without trust ratios the update is AdamW's, so `ShardedOptimizer` serves both settings. The
temperature is a group with a rule of its own: Adam's step times its own value, and a lower bound.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.adam import adam

from openalign.train.config import TrainConfig
from openalign.train.model.parameter_patterns import check_patterns, matching, name_in_settings
from openalign.train.updates import AdamW, Lamb

_TEMPERATURE = "temperature"
_KINDS = ("matrix", "vector", _TEMPERATURE)
"""Kinds of parameters that have rules of their own, in the order of the groups."""

_MOMENTS = ("exp_avg", "exp_avg_sq")
EMA = "ema"
"""The exponential moving average of the weights, among what is kept of a shard."""


class Piece(NamedTuple):
    """The part of a shard that belongs to one parameter."""

    parameter: int
    """Its number among all parameters."""

    start: int
    size: int
    offset: int = 0
    """Of its first element among the elements of the parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLayout:
    """What this rank's flat shards hold."""

    pieces: Mapping[int, Sequence[Piece]]
    """By the shard's data pointer; padding belongs to no piece."""

    num_parameters: int
    group: Any
    """The process group over which a parameter's pieces are spread."""


@dataclass(slots=True)
class TrustRatios:
    """The spread of the last step's ratios."""

    values: list[Tensor] = field(default_factory=list[Tensor])
    """NaN where a parameter was not adapted: to leave it out would wait for the device."""

    def ends(self) -> list[Tensor]:
        """Return the smallest and the largest, one element each on their device; or nothing.

        They are infinite where nothing was adapted.
        """
        if not self.values:
            return []
        ratios = torch.cat(self.values)
        smallest = ratios.nan_to_num(nan=torch.inf).amin()
        largest = ratios.nan_to_num(nan=-torch.inf).amax()
        return [smallest.reshape(1), largest.reshape(1)]

    def smallest_and_largest(self) -> tuple[float, float] | None:
        """Return both ends, or None when nothing was adapted; it waits for the device."""
        ends = [end.item() for end in self.ends()]
        return (ends[0], ends[1]) if ends and math.isfinite(ends[0]) else None


class ShardedOptimizer(torch.optim.Optimizer):
    """LAMB or AdamW, group by group, over parameters or ZeRO's shards of them."""

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        learning_rate: float = 0.0,
        ema_decay: float | None = None,
    ) -> None:
        """Take the groups, the peak of the rate that is reported, and the decay of averages."""
        super().__init__(groups, {})
        self.layout: ShardLayout | None = None
        self.trust_ratios = TrustRatios()
        self._peak = self.learning_rate = learning_rate
        self._ema_decay = ema_decay
        self._indices: dict[tuple[int, ...], Tensor] = {}

    @property
    def kept(self) -> tuple[str, ...]:
        """The names of what is kept of every element: the moments, and the average if there is one.

        The moments are called as in torch's own Adam, which DeepSpeed knows.
        """
        return _MOMENTS if self._ema_decay is None else (*_MOMENTS, EMA)

    @property
    def copied(self) -> tuple[str, ...]:
        """The names of what is the shard itself at the start; the rest of what is kept is zero."""
        return () if self._ema_decay is None else (EMA,)

    def set_factor(self, factor: float) -> None:
        """Set every group's learning rate to a share of its peak."""
        self.learning_rate = self._peak * factor
        for group in self.param_groups:
            group["lr"] = group["peak"] * factor

    def start_step(self) -> None:
        """Forget the last step's trust ratios; under ZeRO one step is several calls of `step`."""
        self.trust_ratios = TrustRatios()

    def state_of(self, shard: Tensor) -> dict[str, Tensor]:
        """Return a shard's `step` and what is `kept` of it, as it is at the start or was left."""
        state = cast("dict[str, Tensor]", self.state[shard])
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=shard.device)
            state |= {name: _zeros_like(shard) for name in self.kept}
            for name in self.copied:
                state[name].copy_(shard.detach())
        return state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every shard that has a gradient; ZeRO calls this once a group or sub-group."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            shards = [shard for shard in group["params"] if shard.grad is not None]
            if shards:
                self.update_group(group, shards)
        return loss

    def update_group(self, group: dict[str, Any], shards: list[Tensor]) -> None:
        """Update the shards of a group, each of which has a gradient."""
        updates = self._adam_updates(group, shards)
        if group["adapt"]:
            self._scale(group, shards, updates)
        for shard, update in zip(shards, updates, strict=True):
            if group["relative"]:
                update.mul_(shard)
            shard.add_(update, alpha=-group["lr"])
            if group["at_least"] is not None:
                shard.clamp_(min=group["at_least"])
            if self._ema_decay is not None:
                state = self.state_of(shard)
                share = ema_share(state["step"], decay=self._ema_decay)
                state[EMA].lerp_(shard, share.to(shard.dtype))

    def _adam_updates(self, group: dict[str, Any], shards: list[Tensor]) -> list[Tensor]:
        """Return what Adam takes from each shard at a rate of 1, and the decay beside it."""
        states = [self.state_of(shard) for shard in shards]
        updates = [_zeros_like(shard) for shard in shards]
        beta1, beta2 = group["betas"]
        adam(
            updates,
            # The kernel reads memory in its order: strides it does not mind.
            [cast("Tensor", shard.grad).contiguous() for shard in shards],
            *([state[name] for state in states] for name in _MOMENTS),
            max_exp_avg_sqs=[],
            state_steps=[state["step"] for state in states],
            fused=True,  # one kernel a shard in place of ten, each of which reads all of it
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=-1.0,  # from zeros it leaves the update itself
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )
        if group["weight_decay"]:
            for shard, update in zip(shards, updates, strict=True):
                update.add_(shard, alpha=group["weight_decay"])
        return updates

    def _scale(self, group: dict[str, Any], shards: list[Tensor], updates: list[Tensor]) -> None:
        pieces = self._pieces(shards)
        numbers = [piece.parameter for of_shard in pieces for piece in of_shard]
        weights, parts = _views(shards, pieces), _views(updates, pieces)
        squares = self._squared_norms(numbers, [weights, parts], device=shards[0].device)
        weight, update = squares.sqrt()
        both = (weight > 0) & (update > 0)
        ratio = torch.where(both, weight / update, 1.0).clamp_(max=group["trust_ratio_at_most"])
        self.trust_ratios.values.append(torch.where(both, ratio, torch.nan))
        if numbers:
            of_parts = ratio[self._index_of(numbers, ratio.device)].to(parts[0].dtype)
            torch._foreach_mul_(parts, list(of_parts.unbind()))  # torch has no public form

    def _squared_norms(
        self, numbers: Sequence[int], rows: Sequence[list[Tensor]], *, device: torch.device
    ) -> Tensor:
        """Return `[len(rows), parameters]`: squared norms by parameter, summed over ranks.

        `numbers` are those of the parameters to which each row's tensors belong. Every rank takes
        part in the sum, also one whose shard is nothing but padding.
        """
        count = len(numbers) if self.layout is None else self.layout.num_parameters
        squares = torch.zeros(len(rows), count, dtype=torch.float64, device=device)
        if numbers:
            index = self._index_of(numbers, device)
            for row, tensors in zip(squares, rows, strict=True):
                norms = torch._foreach_norm(tensors)  # noqa: SLF001  # as above
                row[index] = torch.stack(norms).double().square()
        if self.layout is not None:
            dist.all_reduce(squares, group=self.layout.group)
        return squares

    def _index_of(self, numbers: Sequence[int], device: torch.device) -> Tensor:
        """Return numbers of parameters on a device; only the first step copies them, and waits."""
        key = tuple(numbers)
        if key not in self._indices:
            self._indices[key] = torch.tensor(numbers, device=device)
        return self._indices[key]

    def _pieces(self, shards: list[Tensor]) -> list[Sequence[Piece]]:
        """Return what each shard holds; without a layout it is one whole parameter."""
        if self.layout is not None:
            return [self.layout.pieces[shard.data_ptr()] for shard in shards]
        return [(Piece(number, 0, shard.numel()),) for number, shard in enumerate(shards)]


def _zeros_like(shard: Tensor) -> Tensor:
    return torch.zeros_like(shard, memory_format=torch.contiguous_format)


def _views(shards: list[Tensor], pieces: Sequence[Sequence[Piece]]) -> list[Tensor]:
    """Return a view of every piece of the shards, or of what has their sizes."""
    return [
        shard.view(-1).narrow(0, piece.start, piece.size)
        for shard, of_shard in zip(shards, pieces, strict=True)
        for piece in of_shard
    ]


def ema_share(step: Tensor, *, decay: float) -> Tensor:
    """Return the share of the weights after update `step`, counted from 1, in their average.

    The decay rises to its value, so that the average of a short run is not that of its start. It
    is a float64 on the step's device: to know the step here would wait for the device.
    """
    exact = step.double()
    return 1.0 - ((1.0 + exact) / (10.0 + exact)).clamp(max=decay)


def build_optimizer(towers: nn.Module, config: TrainConfig) -> ShardedOptimizer:
    """Return the optimizer of `config`: which parameters decay and adapt, and at which rates.

    Frozen parameters are in no group. A group has one learning rate, so factors make more groups.

    Raises:
        ConfigError: a pattern of `train.learning_rate_factors` means no parameter.
    """
    optimizer, rule = config.optimizer, config.temperature
    shared = {
        "betas": (optimizer.beta1, optimizer.beta2),
        "eps": optimizer.epsilon,
        "weight_decay": 0.0,
        "adapt": False,
        "trust_ratio_at_most": getattr(optimizer, "trust_ratio_at_most", 1.0),
        "relative": False,
        "at_least": None,
    }
    temperature = {"relative": rule.relative, "at_least": rule.at_least}
    factors = _factors(towers, config.learning_rate_factors)
    groups: dict[tuple[str, float], dict[str, Any]] = {}
    for name, parameter in towers.named_parameters():
        if not parameter.requires_grad:
            continue
        kind, own, rate = _TEMPERATURE, temperature, rule.learning_rate
        if name != _TEMPERATURE:
            kind = "matrix" if parameter.ndim > 1 else "vector"
            own, rate = _applied(optimizer, matrices=kind == "matrix"), optimizer.learning_rate
        rate *= factors[name]
        made = {**shared, **own, "lr": rate, "peak": rate, "params": []}
        groups.setdefault((kind, factors[name]), made)["params"].append(parameter)
    ordered = sorted(groups.items(), key=lambda item: (_KINDS.index(item[0][0]), item[0][1]))
    return ShardedOptimizer(
        [group for _, group in ordered],
        learning_rate=optimizer.learning_rate,
        ema_decay=None if config.ema is None else config.ema.decay,
    )


def _factors(towers: nn.Module, by_pattern: Mapping[str, float]) -> dict[str, float]:
    """Return the factor of each parameter: the product over all patterns that mean it."""
    named = {name_in_settings(name): name for name, _ in towers.named_parameters()}
    check_patterns(by_pattern, list(named), setting="train.learning_rate_factors")
    found = dict.fromkeys(named.values(), 1.0)
    for pattern in sorted(by_pattern):
        for name in matching(pattern, named):
            found[named[name]] *= by_pattern[pattern]
    return found


def _applied(optimizer: Lamb | AdamW, *, matrices: bool) -> dict[str, Any]:
    adapted = isinstance(optimizer, Lamb) and (matrices or optimizer.adapted == "all")
    decays = matrices or optimizer.decayed == "all"
    return {"adapt": adapted, "weight_decay": optimizer.weight_decay if decays else 0.0}
