"""A step is the same however ranks and passes share its blocks."""

import math
import pickle
from collections.abc import Generator
from pathlib import Path
from typing import Any

import block_checks
import pytest
import torch
from block_checks import BLOCK_SIZE, CASES, NUM_BLOCKS, SYNCED_BLOCKS, config_for, step_in_one_graph
from tiny_training import finish, start_new_ranks

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

Found = dict[int, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What each rank found, by the number of ranks; they are started once for all tests here."""
    result: Found = {}
    for num_ranks in (1, 2, 3):
        folder = tmp_path_factory.mktemp(f"ranks-{num_ranks}")
        job = (block_checks.run, (str(folder),))
        finish(start_new_ranks(job, num_ranks=num_ranks, folder=folder))
        result[num_ranks] = [
            pickle.loads(Path(folder, f"found-{rank}.pkl").read_bytes())
            for rank in range(num_ranks)
        ]
    return result


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Generator[None]:
    """As many as a rank has: convolutions round otherwise on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, Any]]:
    """The same in one graph; a stage or recomputing changes nothing of it."""
    consecutive = [list(range(n * BLOCK_SIZE, (n + 1) * BLOCK_SIZE)) for n in range(NUM_BLOCKS)]
    return {
        "local": step_in_one_graph(config_for("2 local"), consecutive),
        "ghost": step_in_one_graph(config_for("2 ghost"), consecutive),
        "float64": step_in_one_graph(config_for("0 local"), consecutive, torch.float64),
    }


def assert_same_step(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Gradients within the rounding of fp32, relative to the whole gradient and to large parts."""
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-6)
    for name in ("statistics", "settled"):
        torch.testing.assert_close(one[name], two[name], rtol=1e-5, atol=1e-6)
    assert gradient_error(one, two) < 2e-6
    length = whole_length(two["gradients"])
    for name, gradient in two["gradients"].items():
        if gradient.norm() > 1e-3 * length:
            difference = one["gradients"][name] - gradient
            assert difference.norm() < 1e-5 * gradient.norm(), name


def assert_exact(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Gradients far within fp32: the library's attention takes its softmax in it, and no more."""
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-14)
    assert gradient_error(one, two) < 1e-11


def gradient_error(one: dict[str, Any], two: dict[str, Any]) -> float:
    """Return the length of the difference over the length of the gradient."""
    pairs = one["gradients"], two["gradients"]
    assert pairs[0].keys() == pairs[1].keys()
    assert len(pairs[0]) > 100
    difference = {name: pairs[0][name] - pairs[1][name] for name in pairs[0]}
    return whole_length(difference) / whole_length(pairs[1])


def whole_length(gradients: dict[str, torch.Tensor]) -> float:
    return math.sqrt(sum(float(x.double().square().sum()) for x in gradients.values()))


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_passes_and_ranks_change_nothing_but_rounding(
    found: Found, expected: dict[str, dict[str, Any]], num_ranks: int
) -> None:
    for rank in found[num_ranks]:
        assert_exact(rank["float64"], expected["float64"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_a_step_is_that_of_one_graph_over_all_blocks(
    found: Found, expected: dict[str, dict[str, Any]], num_ranks: int, case: str
) -> None:
    """Seven blocks: 7; 4 and 3; 3, 2 and 2."""
    for rank in found[num_ranks]:
        assert_same_step(rank[case], expected[case.split()[1]])


def test_only_stage_3_makes_passes_for_other_ranks_sake(found: Found) -> None:
    assert [rank["2 local"]["passes"] for rank in found[3]] == [3, 2, 2]
    assert [rank["3 local"]["passes"] for rank in found[3]] == [3, 3, 3]


def test_stage_3_looks_no_further_ahead_the_more_blocks_are_to_come(found: Found) -> None:
    """Else every module of every block would be compared with all that come: four times as many."""
    lookups = found[1][0]["lookups"]

    assert 1.5 < lookups[4] / lookups[2] < 2.5


def test_synced_batch_norm_is_that_of_the_blocks_that_ranks_run_together(found: Found) -> None:
    """Two ranks with three of six blocks each: blocks 0 and 3, then 1 and 4, then 2 and 5."""
    half = SYNCED_BLOCKS // 2
    blocks = [[*range(n * BLOCK_SIZE, (n + 1) * BLOCK_SIZE)] for n in range(SYNCED_BLOCKS)]
    together = [blocks[n] + blocks[n + half] for n in range(half)]

    alone = step_in_one_graph(config_for("0 sync"), together, torch.float64)

    for rank in found[2]:
        assert_exact(rank["float64 sync"], alone)
