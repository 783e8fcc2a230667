"""An image tower with a linear head: what a recipe trains of it, and at which rates.

The head reads the tower's pooled features as they are, not their unit vectors.

Shape suffixes:
    B  images
    D  width of the features
    C  classes
"""

# ruff: noqa: N806  # capitals are shape suffixes

from typing import Any

import torch
from torch import Tensor, nn

from openalign.train.fine_tune.recipes import Recipe


class Classifier(nn.Module):
    """A tower and a head of zeros, one stage after the other."""

    def __init__(self, tower: nn.Module, *, width: int, num_classes: int) -> None:
        """Take an image tower, such as `AlignModel.vision_model`, whose features have a width."""
        super().__init__()
        self.tower = tower
        self.dropout = nn.Dropout(0.0)
        self.head = nn.Linear(width, num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self._recipe: Recipe | None = None

    def begin(self, recipe: Recipe) -> None:
        """Prepare for a recipe's stage: what has gradients, what is dropped, and training mode."""
        self._recipe = recipe
        self.dropout.p = recipe.dropout
        for parameter in self.tower.parameters():
            parameter.requires_grad_(recipe.trained == "all")
        self.train()

    def train(self, mode: bool = True) -> "Classifier":  # noqa: FBT001, FBT002  # torch's own
        """Set the mode of all but what the stage keeps as it is: batch norms, or the whole tower.

        A batch norm in training mode changes its statistics with every forward pass, also where
        no parameter is trained.
        """
        super().train(mode)
        if self._recipe is not None and self._recipe.trained == "head":
            self.tower.eval()
        if self._recipe is not None and self._recipe.batch_norm == "frozen":
            for layer in self.tower.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Return `[B, C]`: the logits of images."""
        feature_BD = self.tower(pixel_values=pixels).pooler_output
        return self.head(self.dropout(feature_BD.float()))


def parameter_groups(classifier: Classifier, recipe: Recipe) -> list[dict[str, Any]]:
    """Return an optimizer's groups: the head, and the tower where it is trained.

    `peak` is the rate at a factor of 1. Every parameter decays alike, as in TensorFlow's recipes.
    """
    head, tower = list(classifier.head.parameters()), list(classifier.tower.parameters())
    groups = [_group(head, recipe.learning_rate, recipe)]
    if recipe.trained == "all":
        groups.append(_group(tower, recipe.learning_rate * recipe.tower_share, recipe))
    return groups


def set_factor(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to a share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def _group(parameters: list[nn.Parameter], rate: float, recipe: Recipe) -> dict[str, Any]:
    return {
        "params": parameters,
        "lr": rate,
        "peak": rate,
        "momentum": 0.9,
        "weight_decay": recipe.weight_decay,
    }
