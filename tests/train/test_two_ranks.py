import math
import pickle
import statistics
from pathlib import Path
from typing import Any

import pytest
import rank_checks
import step_counts
import torch
from tiny_training import finish, start_new_ranks

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

NOISE = 1e-7
"""A gradient below this is rounding: LAMB scales its direction up, and it is chance."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two ranks found; they are started once for all tests here."""
    folder = tmp_path_factory.mktemp("ranks")
    finish(start_new_ranks((rank_checks.run, (str(folder),)), num_ranks=2, folder=folder))
    return [pickle.loads(Path(folder, f"found-{rank}.pkl").read_bytes()) for rank in range(2)]


@pytest.mark.parametrize(
    "case",
    [
        *(f"lamb {stage}" for stage in rank_checks.STAGES),
        *(f"lamb all {stage}" for stage in rank_checks.STAGES),
        *(f"lamb frozen {stage}" for stage in rank_checks.STAGES),
        "lamb 3 whole",
        "lamb 2 unclipped",
        "adamw 2",
        "adamw 3",
    ],
)
def test_shards_are_updated_as_whole_parameters_are(found: list[dict[str, Any]], case: str) -> None:
    """Every parameter's way must agree, relative to its length: LAMB's ratios are per parameter."""
    result = found[0][case]
    errors: dict[str, float] = {}
    for name, start in result["start"].items():
        if result["largest gradient"][name] >= NOISE:
            way = result["expected weights"][name] - start
            error = result["weights"][name] - result["expected weights"][name]
            errors[name] = float(error.norm() / way.norm())

    assert len(errors) > 50
    assert {"temperature", "align.text_projection.1.by"} <= set(errors)
    assert statistics.median(errors.values()) < 1e-4
    assert max(errors.values()) < 5e-3, max(errors, key=lambda name: errors[name])
    assert result["losses"] == pytest.approx(result["expected losses"], rel=1e-5)
    assert result["norms"] == pytest.approx(result["expected norms"], rel=1e-3)


@pytest.mark.parametrize("stage", rank_checks.STAGES)
def test_frozen_embeddings_keep_every_bit(found: list[dict[str, Any]], stage: int) -> None:
    result = found[0][f"lamb frozen {stage}"]
    embeddings = [name for name in result["start"] if ".embeddings." in name]

    assert {name.split(".")[1] for name in embeddings} == {"vision_model", "text_model"}
    assert all(torch.equal(result["weights"][name], result["start"][name]) for name in embeddings)
    assert all(result["largest gradient"][name] == 0.0 for name in embeddings)


@pytest.mark.parametrize("stage", rank_checks.STAGES)
def test_trust_ratios_are_those_of_whole_parameters(
    found: list[dict[str, Any]], stage: int
) -> None:
    result = found[0][f"lamb {stage}"]

    assert result["expected spread"][0] < result["expected spread"][1] <= 10.0
    assert result["spread"] == pytest.approx(result["expected spread"], rel=1e-3)


def test_the_ranks_hold_equal_weights(found: list[dict[str, Any]]) -> None:
    for case in ("lamb 0", "lamb 2", "lamb 3", "adamw 3"):
        for name, value in found[0][case]["weights"].items():
            assert torch.equal(value, found[1][case]["weights"][name]), (case, name)


def test_batch_norm_statistics_are_means_over_batches_and_ranks(
    found: list[dict[str, Any]],
) -> None:
    """Rank 0: means 1 and 4, variances 2 and 0; rank 1: twice mean 8 and variance 8."""
    for rank in found:
        assert rank["statistics"]["mean"].item() == pytest.approx((2.5 + 8) / 2)
        assert rank["statistics"]["variance"].item() == pytest.approx((1 + 8) / 2)


@pytest.mark.parametrize("stage", rank_checks.STAGES)
def test_a_gradient_that_is_not_finite_on_one_rank_is_used_on_none(
    found: list[dict[str, Any]], stage: int
) -> None:
    for rank in found:
        assert math.isnan(rank["nonfinite"][str(stage)]["norm"])
        assert rank["nonfinite"][str(stage)]["moved"] == []


@pytest.mark.parametrize("stage", [1, 2])
def test_a_map_that_misplaces_parameters_is_refused_by_every_rank(
    found: list[dict[str, Any]], stage: int
) -> None:
    """The sizes of its pieces add up."""
    for rank in found:
        assert "them are not where its own map says, such as align." in rank["round robin"][stage]


GATHER, SUM = (f"model.loss_forms.global_rows.{name}" for name in ("gather", "sum_over_ranks"))
LOSS_ASKS = {
    "rows": {GATHER: 1, SUM: 1},
    "tiled": {GATHER: 1, "model.loss_forms.global_rows.log_sum_over_ranks": 2, SUM: 1},
}
"""How often each form of the loss asks the ranks: for embeddings, sums and gradients."""


@pytest.mark.parametrize("case", step_counts.CASES)
def test_a_step_asks_the_ranks_once_beside_zero_the_loss_and_lamb(
    found: list[dict[str, Any]], case: str
) -> None:
    """LAMB asks once: the one group that it adapts; stage 0 has whole parameters on every rank."""
    stage, form = case.split()
    for rank in found:
        asked = rank["step"][case]["collectives"]
        by_zero = {name for name in asked if name.startswith("DeepSpeed for ")}
        own = {name: count for name, count in asked.items() if name not in by_zero}

        lamb = {} if stage == "0" else {"optim.lamb._squared_norms": 1}
        assert own == {"loop._sums_over_ranks": 1, **LOSS_ASKS[form], **lamb}
        # Only forward and backward passes and the update, no look at what it has cut.
        of_step = {"DeepSpeed for zero.take_step", "DeepSpeed for passes.embed"}
        assert "DeepSpeed for zero.take_step" in by_zero <= of_step


@pytest.mark.parametrize("case", step_counts.CASES)
def test_a_step_waits_for_the_device_once_and_once_more_to_write_a_line(
    found: list[dict[str, Any]], case: str
) -> None:
    for rank, of_rank in enumerate(found):
        waits = of_rank["step"][case]["waits"]
        own = {name: n for name, n in waits.items() if not name.startswith("DeepSpeed for ")}
        norm = own.pop("zero.take_step __float__")  # ZeRO's, or in its place
        assert norm == 1
        line = {"step_report._left_by_step tolist": 1} if rank == 0 else {}
        assert own == {"loop._step tolist": 1, **line}


PARTIAL = [f"adamw {stage}" for stage in rank_checks.STAGES] + ["adamw 3 whole"]


@pytest.mark.parametrize("case", PARTIAL)
@pytest.mark.parametrize("what", ["weights", "averages"])
def test_slowed_and_averaged_weights_are_those_of_torch_s_adamw(
    found: list[dict[str, Any]], case: str, what: str
) -> None:
    oracle = found[0]["partial"]["oracle"]
    for rank in found:
        for name in oracle["trained"]:
            expected = oracle[what][name]
            way = (expected - oracle["start"][name]).norm()
            error = (rank["partial"][case][what][name] - expected).norm()
            assert error <= 2e-3 * way, (name, float(error), float(way))
    # Embeddings 5, the layer 11 without its attention's biases, the projection 3.
    assert len(oracle["trained"]) == 19


@pytest.mark.parametrize("case", [*PARTIAL, *(f"lamb {stage}" for stage in rank_checks.STAGES)])
def test_what_is_frozen_keeps_every_bit_statistics_too(
    found: list[dict[str, Any]], case: str
) -> None:
    oracle = found[0]["partial"]["oracle"]
    frozen = [name for name in oracle["start"] if name not in oracle["trained"]]

    assert any("running_var" in name for name in frozen)
    for rank in found:
        for what in ("weights", "averages"):
            values = rank["partial"][case][what]
            kept = [name for name in frozen if torch.equal(values[name], oracle["start"][name])]
            assert kept == frozen


@pytest.mark.parametrize("stage", rank_checks.STAGES)
def test_trust_ratios_hold_beside_frozen_parameters(
    found: list[dict[str, Any]], stage: int
) -> None:
    partial = found[0]["partial"]
    for name in partial["oracle"]["trained"]:
        expected = partial["lamb in one process"]["weights"][name]
        way = (expected - partial["oracle"]["start"][name]).norm()
        error = (partial[f"lamb {stage}"]["weights"][name] - expected).norm()
        assert error <= 5e-3 * way, (name, float(error), float(way))


@pytest.mark.parametrize(
    ("stage", "lacks"), [(2, "_hp_mapping"), (3, "fp32_partitioned_groups_flat")]
)
def test_what_deepspeed_lacks_on_one_rank_ends_every_rank(
    found: list[dict[str, Any]], stage: int, lacks: str
) -> None:
    for result in found:
        assert "lacks what training reads of it" in result["lacking"][stage]
        assert lacks in result["lacking"][stage]
