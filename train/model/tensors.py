"""Which tensors of a model training moves, and which belong to it beside them."""

from torch import Tensor, nn


def trained_parameters(towers: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that have a gradient, by name, in the order of their numbers."""
    return {name: p for name, p in towers.named_parameters() if p.requires_grad}


def kept_buffers(towers: nn.Module) -> dict[str, Tensor]:
    """Return the buffers that belong to a model, without those that its settings determine."""
    kept = set(towers.state_dict())
    return {name: buffer for name, buffer in towers.named_buffers() if name in kept}


def unmoved_tensors(towers: nn.Module) -> dict[str, Tensor]:
    """Return what no optimizer moves: the kept buffers, and the parameters that are frozen."""
    frozen = {name: p for name, p in towers.named_parameters() if not p.requires_grad}
    return kept_buffers(towers) | frozen
