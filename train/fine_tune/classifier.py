"""An image tower with a linear head: what a recipe trains of it, and at which rates.

The head reads the tower's pooled features as they are, not their unit vectors.

Shape suffixes:
    B  images of this rank
    b  images of one forward pass
    D  width of the features
    C  classes
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from openalign.train.data.pixel_batch import PixelRows
from openalign.train.fine_tune.losses import draw_mix, mixed_cross_entropy, mixed_pixels
from openalign.train.fine_tune.recipes import Recipe
from openalign.train.model.batch_norm import batch_norms, pass_statistics
from openalign.train.model.towers import Pass, recomputed
from openalign.train.optim.momentum import MomentumSgd

_MOMENTUM = 0.9
"""Of the paper's SGD (§5.3)."""


class Classifier(nn.Module):
    """A tower and a head of zeros, one stage after the other.

    Calling it gives what a step minimizes; `logits` gives the scores of images.
    """

    def __init__(
        self, tower: nn.Module, *, width: int, num_classes: int, autocast: bool = False
    ) -> None:
        """Take an image tower, such as `AlignModel.vision_model`, whose features have a width."""
        super().__init__()
        self.tower = tower
        self.dropout = nn.Dropout(0.0)
        self.head = nn.Linear(width, num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.statistics_of_passes: list[Tensor] = []
        """Batch-norm statistics of each pass of the last call that counts."""
        self._autocast = autocast
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

    def forward(self, pixels: PixelRows, label_B: Tensor, passes: Sequence[Pass]) -> Tensor:
        """Return the sum over this rank's blocks of each one's mean loss.

        With several passes none of a tower that is trained is kept: the backward pass runs a block
        again with the same draws, as in `Towers`. A tower without gradients keeps nothing. Each
        image is mixed with others of its block, where the recipe mixes.
        """
        assert self._recipe is not None
        self.statistics_of_passes = []
        again = len(passes) > 1 and self._recipe.trained == "all"
        run = partial(recomputed, self._loss) if again else self._loss
        losses: list[Tensor] = []
        for each in passes:
            loss = run(each, pixels, label_B)
            # One that does not count is in the graph, so that all ranks go through as many.
            losses.append(loss if each.counts else 0.0 * loss)
            if each.counts:
                self._note_statistics()
        return torch.stack(losses).sum()

    def logits(self, pixels: Tensor) -> Tensor:
        """Return `[b, C]`, in fp32: the scores of images."""
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self._autocast):
            feature_bD = self.tower(pixel_values=pixels).pooler_output
        return self.head(self.dropout(feature_bD.float()))

    def _loss(self, this: Pass, pixels: PixelRows, label_B: Tensor) -> Tensor:
        assert self._recipe is not None
        torch.manual_seed(this.seed)
        rows = slice(this.start, this.stop)
        mix = draw_mix(this.stop - this.start, alpha=self._recipe.mixup, seed=this.seed)
        return mixed_cross_entropy(self.logits(mixed_pixels(pixels[rows], mix)), label_B[rows], mix)

    def _note_statistics(self) -> None:
        layers = batch_norms(self)
        if any(layer.training for layer in layers):
            self.statistics_of_passes.append(pass_statistics(layers))


def build_sgd(classifier: Classifier, recipe: Recipe) -> MomentumSgd:
    """Return the optimizer of a stage: the head, and the tower where it is trained.

    Every parameter decays alike, as in TensorFlow's recipes.
    """
    groups = [_group(classifier.head, recipe.learning_rate, recipe)]
    if recipe.trained == "all":
        groups.append(_group(classifier.tower, recipe.learning_rate * recipe.tower_share, recipe))
    return MomentumSgd(groups, keeps_initial=recipe.decay_to_initial > 0)


def _group(module: nn.Module, rate: float, recipe: Recipe) -> dict[str, Any]:
    return {
        "params": list(module.parameters()),
        "lr": rate,
        "peak": rate,
        "momentum": _MOMENTUM,
        "weight_decay": recipe.weight_decay,
        "decay_to_initial": recipe.decay_to_initial,
    }
