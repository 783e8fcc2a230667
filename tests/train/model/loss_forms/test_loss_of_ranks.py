import pickle
from pathlib import Path

import loss_rank_checks
import pytest
import torch
from tiny_training import finish, start_ranks
from torch import Tensor

pytestmark = [pytest.mark.distributed, pytest.mark.slow]


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_ranks_have_the_loss_and_gradients_of_one_process(tmp_path: Path, num_ranks: int) -> None:
    """Losses and gradients are averaged over ranks; an embedding's lies on its own rank alone."""
    helpers = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[2]}"}
    job = (loss_rank_checks.run, (str(tmp_path),))

    finish(start_ranks(job, num_ranks=num_ranks, folder=tmp_path, environment=helpers))

    by_rank = [
        pickle.loads((tmp_path / f"found-{rank}.pkl").read_bytes()) for rank in range(num_ranks)
    ]
    for form in loss_rank_checks.FORMS:
        for name, case, _ in loss_rank_checks.cases(num_ranks):
            ranks = [found[form, name] for found in by_rank]
            expected = case.expected()

            def close(actual: Tensor, wanted: Tensor, what: str = f"{form}, {name}") -> None:
                torch.testing.assert_close(
                    actual, wanted, rtol=1e-11, atol=1e-13, msg=lambda said: f"{what}: {said}"
                )

            close(sum_of(ranks, "loss") / num_ranks, expected.loss)
            close(torch.cat([rank["image"] for rank in ranks]) / num_ranks, expected.image)
            close(torch.cat([rank["text"] for rank in ranks]) / num_ranks, expected.text)
            close(sum_of(ranks, "temperature") / num_ranks, expected.temperature)


def sum_of(ranks: list[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([rank[name] for rank in ranks]).sum(dim=0)
