"""What is refused before the first step: by the environment, the towers and the engine."""

import inspect
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from rank_checks import VOCABULARY_SIZE, config_for
from torch import nn

from openalign.errors import StageError
from openalign.train import guard, launch, zero
from openalign.train.model.towers import Towers, build_towers
from openalign.train.optim.lamb import build_optimizer
from openalign.train.ranks import RankGroup
from openalign.train.stopping import Stopping
from openalign.train.updates import AdamW

CLIPPING = 0.5


@pytest.fixture(scope="module")
def ranks() -> Generator[RankGroup]:
    """This process alone."""
    with zero.joined_ranks() as joined:
        yield joined


def start(
    ranks: RankGroup,
    *,
    stage: int = 2,
    change: Callable[[Towers], object] = lambda _: None,
    **keys: Any,
) -> int:
    """Start an engine of changed towers, or one that DeepSpeed is given other keys for.

    Return the stage that it has.
    """
    config = config_for(stage, AdamW(), clipping=CLIPPING)
    towers = build_towers(config, vocabulary_size=VOCABULARY_SIZE)
    change(towers)
    optimizer = build_optimizer(towers, config)
    right = zero.deepspeed_settings

    def settings(*given: Any, **named: Any) -> dict[str, Any]:
        found = right(*given, **named)
        of_zero = found["zero_optimization"] | keys.get("zero_optimization", {})
        return found | keys | {"zero_optimization": of_zero}

    with patch.object(zero, "deepspeed_settings", settings):
        engine = zero.start_engine(towers, optimizer, config, ranks)
        said: int = engine.zero_optimization_stage()
        zero.stop_engine(engine)
    return said


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_what_training_asks_for_is_not_refused(ranks: RankGroup, stage: int) -> None:
    assert start(ranks, stage=stage) == stage


def test_stage_3_does_not_read_the_arguments_of_its_functions_before_each_call(
    ranks: RankGroup,
) -> None:
    config = config_for(3, AdamW(), clipping=CLIPPING)
    towers = build_towers(config, vocabulary_size=VOCABULARY_SIZE)
    engine = zero.start_engine(towers, build_optimizer(towers, config), config, ranks)
    hooked: list[Any] = [m for m in towers.modules() if "pre_bwd_fn" in m.__dict__]
    functions = [f for m in hooked for f in (m.pre_bwd_fn, m.post_bwd_fn)]
    zero.stop_engine(engine)

    assert len(functions) > 100
    for function in functions:
        assert inspect.signature(function.forward) is inspect.signature(function.forward)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        pytest.param(
            {"DS_ACCELERATOR": "xpu"}, "DS_ACCELERATOR is 'xpu'", id="another accelerator"
        ),
        pytest.param(
            {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}, "ONEDNN_DEFAULT_FPMATH_MODE is BF16", id="bf16"
        ),
        pytest.param(
            {"DNNL_DEFAULT_FPMATH_MODE": "any"},
            "DNNL_DEFAULT_FPMATH_MODE is any",
            id="its old name",
        ),
        pytest.param(
            {"LOCAL_RANK": "0", "OMPI_COMM_WORLD_LOCAL_RANK": "3"},
            "LOCAL_RANK is 0 and OMPI_COMM_WORLD_LOCAL_RANK 3",
            id="two numbers of a rank",
        ),
    ],
)
def test_variables_that_change_what_is_computed_are_refused_before_ranks_start_and_by_each(
    variables: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("RANK", "WORLD_SIZE"):  # of this module's own ranks
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    with pytest.raises(StageError, match=said):
        zero.joined_ranks().__enter__()  # which does not yield
    with pytest.raises(StageError, match=said):
        launch.launch(["spec.json"], num_processes=1, folders=[str(tmp_path)], stop=Stopping())


@pytest.mark.parametrize("mode", ["STRICT", "", "nonsense"])
def test_modes_in_which_cpus_round_nothing_pass(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", mode)

    guard.check_environment(on_cpu=True)


def test_how_cpus_round_is_nothing_to_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")

    guard.check_environment(on_cpu=False)


def test_products_of_fp32_are_exact_while_ranks_train_and_what_they_were_behind() -> None:
    def now() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = now()
    torch.set_float32_matmul_precision("high")  # as TORCH_ALLOW_TF32_CUBLAS_OVERRIDE does
    torch.backends.cudnn.allow_tf32 = True
    try:
        with zero.joined_ranks():
            inside = now()
        behind = now()
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]

    assert inside == ("highest", False)
    assert behind == ("high", True)


def test_another_default_type_is_refused(ranks: RankGroup) -> None:
    """DeepSpeed would train float64 weights in silence."""
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(StageError, match=r"PyTorch's default type is torch\.float64, and"):
            start(ranks)
    finally:
        torch.set_default_dtype(torch.float32)


def add_scalar(towers: Towers) -> None:
    towers.register_parameter("scale", nn.Parameter(torch.tensor(1.0)))


def lay_channels_last(towers: Towers) -> None:
    towers.align.vision_model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def round_statistics(towers: Towers) -> None:
    layer = next(m for m in towers.modules() if isinstance(m, nn.BatchNorm2d))
    layer.running_var = torch.ones(layer.num_features, dtype=torch.bfloat16)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(add_scalar, "the parameter scale has no dimension, so", id="a scalar"),
        pytest.param(lay_channels_last, "is not contiguous in memory, so", id="channels last"),
        pytest.param(
            round_statistics, r"running_var is torch\.bfloat16, and", id="statistics in bf16"
        ),
        pytest.param(
            lambda towers: towers.align.text_projection.double(),
            r"text_projection.weight is torch\.float64, and",
            id="a layer in float64",
        ),
    ],
)
def test_towers_that_deepspeed_cannot_take_are_refused(
    ranks: RankGroup, change: Callable[[Towers], object], said: str
) -> None:
    with pytest.raises(StageError, match=said):
        start(ranks, change=change)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        pytest.param(
            {"zero_optimization": {"round_robin_gradients": True}},
            "`zero_optimization.round_robin_gradients` is True, and False was asked for",
            id="round robin",
        ),
        pytest.param(
            {"zero_optimization": {"stage": 1}},
            "`zero_optimization.stage` is 1, and 2 was asked for",
            id="stage",
        ),
        pytest.param(
            {
                "zero_optimization": {"offload_optimizer": {"device": "cpu"}},
                "zero_force_ds_cpu_optimizer": False,
            },
            "`zero_optimization.offload_optimizer` is ",
            id="offload",
        ),
        pytest.param(
            {"gradient_clipping": 1.0},
            "`gradient_clipping` is 1.0, and 0.5 was asked for",
            id="clipping",
        ),
        pytest.param(
            {"gradient_accumulation_steps": 2, "train_batch_size": 2},
            "`gradient_accumulation_steps` is 2, and 1 was asked for",
            id="accumulation",
        ),
        pytest.param(
            {"bf16": {"enabled": True}},
            "`bf16.enabled` is True, and False was asked for",
            id="bf16",
        ),
        pytest.param(
            {"torch_autocast": {"enabled": True, "dtype": "bfloat16"}},
            "`torch_autocast.enabled` is True, and False was asked for",
            id="autocast",
        ),
        pytest.param(
            {"communication_data_type": "bf16"},
            "`communication_data_type` is torch.bfloat16, and torch.float32 was asked for",
            id="gradients summed in bf16",
        ),
    ],
)
def test_an_engine_that_does_otherwise_is_refused(
    ranks: RankGroup, keys: dict[str, Any], said: str
) -> None:
    """As another release's defaults might have it."""
    with pytest.raises(StageError, match=re.escape(said)) as refused:
        start(ranks, **keys)
    assert refused.value.hint == f"pip install deepspeed=={guard.KNOWN_RELEASE}"


def test_a_release_without_what_is_read_of_it_is_refused(
    ranks: RankGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("deepspeed.utils.safe_get_local_fp32_param")

    with pytest.raises(StageError, match="lacks what training reads of it: "):
        start(ranks, stage=3)


def test_a_release_that_hands_out_other_pieces_is_refused(
    ranks: RankGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link_nothing(*, lp_param_list: list[Any], **_: object) -> None:
        for parameter in lp_param_list:
            parameter._hp_mapping = None

    monkeypatch.setattr("deepspeed.runtime.zero.stage_1_and_2.link_hp_params", link_nothing)

    with pytest.raises(StageError, match="do not add up to the parameters"):
        start(ranks)


def test_the_known_release_is_the_one_that_is_tested_with() -> None:
    constraints = (Path(__file__).parents[2] / "constraints.txt").read_text()

    assert f"\ndeepspeed=={guard.KNOWN_RELEASE}\n" in constraints
