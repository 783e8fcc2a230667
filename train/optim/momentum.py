"""SGD with momentum, whatever ZeRO cuts the parameters into: what the paper fine-tunes with (§5.3).

The momentum is added up without the rate, as in TensorFlow and PyTorch: a rate that falls scales at
once what was gathered before. Where a network is to stay near the weights it began with (BiT), they
are kept beside the momentum, cut and saved as it is.
"""

from collections.abc import Iterable
from typing import Any, cast

from torch import Tensor

from openalign.train.optim.lamb import ShardedOptimizer

_MOMENTUM = "momentum"
_INITIAL = "initial"
"""The weights of the start, among what is kept of a shard."""


class MomentumSgd(ShardedOptimizer):
    """A group has `lr` and its `peak`, `momentum`, `weight_decay` and `decay_to_initial`."""

    def __init__(self, groups: Iterable[dict[str, Any]], *, keeps_initial: bool) -> None:
        """Take the groups; `keeps_initial` where one of them decays to its initial weights."""
        super().__init__(groups)
        self._keeps_initial = keeps_initial

    @property
    def kept(self) -> tuple[str, ...]:
        """The names of what is kept of every element."""
        return (_MOMENTUM, _INITIAL) if self._keeps_initial else (_MOMENTUM,)

    @property
    def copied(self) -> tuple[str, ...]:
        """The names of what is the shard itself at the start."""
        return (_INITIAL,) if self._keeps_initial else ()

    def update_group(self, group: dict[str, Any], shards: list[Tensor]) -> None:
        """Move the shards of a group along their gradients."""
        for shard in shards:
            state, gradient = self.state_of(shard), cast("Tensor", shard.grad)
            state["step"] += 1
            gathered = state[_MOMENTUM].mul_(group["momentum"]).add_(gradient)
            gathered.add_(shard, alpha=group["weight_decay"])
            if self._keeps_initial:
                gathered.add_(shard - state[_INITIAL], alpha=group["decay_to_initial"])
            shard.add_(gathered, alpha=-group["lr"])
