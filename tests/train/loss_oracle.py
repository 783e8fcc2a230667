"""The contrastive loss by autograd over whole matrices in float64, written apart from the code."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Expected:
    """The loss of a global batch and its gradients, or what a form of it gives."""

    loss: Tensor
    image: Tensor
    text: Tensor
    temperature: Tensor


@dataclass(frozen=True)
class Case:
    """A global batch; rows need not be unit vectors for the sums to agree."""

    image: Tensor
    text: Tensor
    temperature: float
    smoothing: float
    image_ids: list[int] | None

    def expected(self) -> Expected:
        image, text = self.image.clone(), self.text.clone()
        temperature = torch.tensor([self.temperature], dtype=torch.float64)
        for leaf in (image, text, temperature):
            leaf.requires_grad_()
        loss = self._loss(image, text, temperature)
        return Expected(loss.detach(), *torch.autograd.grad(loss, (image, text, temperature)))

    def _loss(self, image: Tensor, text: Tensor, temperature: Tensor) -> Tensor:
        count = len(image)
        logits = image @ text.T / temperature
        terms: list[Tensor] = []
        for i in range(count):
            ids = self.image_ids
            others = [j for j in range(count) if j != i and (ids is None or ids[j] != ids[i])]
            candidates = [i, *others]
            for scores in (logits[i, candidates], logits[candidates, i]):
                chances = scores - scores.exp().sum().log()
                own = (1 - self.smoothing) * chances[0]
                terms.append(-(own + self.smoothing * chances.mean()))
        return torch.stack(terms).sum() / count


def make_case(
    count: int,
    width: int,
    *,
    smoothing: float,
    image_ids: list[int] | None = None,
    temperature: float = 0.3,
) -> Case:
    """Return random embeddings of unit length."""
    draw = torch.Generator().manual_seed(count * width)
    image, text = (
        torch.nn.functional.normalize(
            torch.randn(count, width, generator=draw, dtype=torch.float64), dim=1
        )
        for _ in range(2)
    )
    return Case(image, text, temperature, smoothing, image_ids)
