"""What several ranks find out of the loss together, for test_loss_of_ranks.py."""

import pickle
from pathlib import Path
from typing import Any

import torch
from loss_oracle import Case, make_case

from openalign.train.config import LossForm
from openalign.train.model.loss import contrastive_loss
from openalign.train.model.loss_forms import torch_tiles
from openalign.train.ranks import met_ranks

FORMS: tuple[LossForm, ...] = ("plain", "rows", "tiled")
SHARES: dict[int, list[list[int] | None]] = {
    2: [None, [5, 2]],
    3: [None, [4, 1, 2], [3, 0, 4]],
}
"""Pairs of every rank, by the number of ranks; None: as many each, and they need not be told."""

SAME_IMAGES = [3, 1, 3, 5, 1, 3, 8]


def cases(num_ranks: int) -> list[tuple[str, Case, list[int] | None]]:
    """Return what is tried: a name, the global batch, and the shares."""
    return [
        (f"{smoothing} {'alike' if alike else 'all'} {shares}", case, shares)
        for smoothing in (0.0, 0.1)
        for alike in (False, True)
        for shares in SHARES[num_ranks]
        for count in [sum(shares) if shares else 2 * num_ranks]
        for ids in [SAME_IMAGES[:count] if alike else None]
        for case in [make_case(count, 5, smoothing=smoothing, image_ids=ids)]
    ]


def run(folder: str) -> None:
    """Be one rank; tiles have sides of 2, so that most ranks have several."""
    torch.set_num_threads(1)
    torch_tiles.SIDE = 2
    with met_ranks() as ranks:
        found = {
            (form, name): _found(case, shares, form, rank=ranks.rank, num_ranks=ranks.world_size)
            for form in FORMS
            for name, case, shares in cases(ranks.world_size)
        }
        Path(folder, f"found-{ranks.rank}.pkl").write_bytes(pickle.dumps(found))


def _found(
    case: Case, shares: list[int] | None, form: LossForm, *, rank: int, num_ranks: int
) -> dict[str, Any]:
    sizes = shares or [len(case.image) // num_ranks] * num_ranks
    own = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
    leaves = [x[own].clone().requires_grad_() for x in (case.image, case.text)]
    leaves.append(torch.tensor([case.temperature], dtype=torch.float64, requires_grad=True))
    ids = None if case.image_ids is None else torch.tensor(case.image_ids[own], dtype=torch.int64)
    loss = contrastive_loss(
        *leaves, label_smoothing=case.smoothing, form=form, rows_of_ranks=shares, image_ids_B=ids
    )
    gradients = torch.autograd.grad(loss, leaves)
    return dict(
        zip(("loss", "image", "text", "temperature"), (loss.detach(), *gradients), strict=True)
    )
