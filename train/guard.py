"""What breaks the map of shards or the numerics, refused before the first step.

Settings that cannot be right are refused where they are read (`config.py`). Here are the ways that
settings do not see: the environment, flags of PyTorch, and what DeepSpeed has made of what it was
asked for, be it of another release. `docs/numerics.md` lists them with their reasons.
"""

import os
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from openalign.errors import StageError
from openalign.train.config import TrainConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

KNOWN_RELEASE = "0.19.8"
"""The release of DeepSpeed whose internals this version knows; that of `constraints.txt`."""

_ACCELERATORS = ("cpu", "cuda")
_ROUNDING = ("bf16", "f16", "tf32", "any")
"""Modes in which oneDNN rounds the factors of fp32 products to fewer bits."""

_USE_KNOWN = f"pip install deepspeed=={KNOWN_RELEASE}"


def check_environment(*, on_cpu: bool) -> None:
    """Refuse variables that change what is computed, or that DeepSpeed fails on.

    It needs no PyTorch: what starts ranks calls it, and every rank before it meets the others.

    Raises:
        StageError: names the variable.
    """
    accelerator = os.environ.get("DS_ACCELERATOR", "cpu")
    if accelerator not in _ACCELERATORS:
        raise StageError(
            f"DS_ACCELERATOR is {accelerator!r}, and training runs on GPUs by `cuda` or on CPUs by "
            "`cpu`",
            hint="unset DS_ACCELERATOR: GPUs are taken where there are any",
        )
    for name in ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"):
        mode = os.environ.get(name, "")
        if on_cpu and mode.lower() in _ROUNDING:
            raise StageError(
                f"{name} is {mode}, by which CPUs round the factors of fp32 products to fewer bits",
                hint=f"unset {name}; where bf16 is wanted, `train.precision: bf16` says so",
            )
    own, mpi = (os.environ.get(name) for name in ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"))
    if own is not None and mpi is not None and own != mpi:
        raise StageError(
            f"LOCAL_RANK is {own} and OMPI_COMM_WORLD_LOCAL_RANK {mpi}, so DeepSpeed cannot tell "
            "which rank of its machine this process is",
            hint="set LOCAL_RANK to the same for every rank that mpirun starts, or unset "
            "OMPI_COMM_WORLD_LOCAL_RANK",
        )


@contextmanager
def exact_products() -> Generator[None]:
    """Multiply fp32 by fp32 in fp32, on every device and whatever the environment says.

    By default cuDNN rounds the factors of convolutions to TF32, which has 10 bits of fp32's 23, and
    TORCH_ALLOW_TF32_CUBLAS_OVERRIDE, which NVIDIA's containers set, does so with matrix products.
    """
    import torch
    from torch import backends

    before = torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        backends.cudnn.allow_tf32 = before[1]


def check_towers(towers: "nn.Module") -> None:
    """Refuse towers that DeepSpeed cannot take, or would train in another precision.

    Raises:
        StageError: names what is wrong, or the first tensor that is.
    """
    import torch

    default = torch.get_default_dtype()
    if default is not torch.float32:
        raise StageError(
            f"PyTorch's default type is {default}, and weights, moments and loss are fp32",
            hint="leave it with `torch.set_default_dtype(torch.float32)`; `train.precision` says "
            "in what the towers compute",
        )
    check_fp32(tensors_of(towers))
    for name, parameter in towers.named_parameters():
        if parameter.ndim == 0 or not parameter.is_contiguous():
            what = "has no dimension" if parameter.ndim == 0 else "is not contiguous in memory"
            raise StageError(
                f"the parameter {name} {what}, so DeepSpeed cannot hand it to the other ranks",
                hint="use the version of transformers that constraints.txt names",
            )


def tensors_of(towers: "nn.Module") -> "dict[str, Tensor]":
    """Return parameters and buffers, by name."""
    return {**dict(towers.named_parameters()), **dict(towers.named_buffers())}


def check_fp32(tensors: "Mapping[str, Tensor]") -> None:
    """Refuse numbers that are not fp32; integers may be among the tensors.

    Raises:
        StageError: names the first tensor that is of another type.
    """
    import torch

    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.dtype is not torch.float32:
            raise StageError(
                f"{name} is {tensor.dtype}, and weights, statistics and what the optimizer keeps "
                "are fp32",
                hint="`train.precision: bf16` runs the towers in bf16 and leaves those as they are",
            )


def check_engine(engine: Any, config: TrainConfig, *, world_size: int) -> None:
    """Refuse an engine of DeepSpeed's that does not say it does what it was asked to do.

    Raises:
        StageError: names every key that is another.
    """
    with known_internals():
        differing = [
            f"`{key}` is {said}, and {wanted} was asked for"
            for key, (said, wanted) in _said_and_wanted(engine, config, world_size).items()
            if said != wanted
        ]
    if differing:
        raise StageError(
            f"DeepSpeed {version('deepspeed')} does not do as it was told: {'; '.join(differing)}",
            hint=_USE_KNOWN,
        )


def check_misplaced(names: Collection[str]) -> None:
    """Refuse a map of shards by which pieces of these parameters hold other values than they do.

    Raises:
        StageError: names one of them.
    """
    if names:
        raise unknown_layout(
            f"{len(names)} of them are not where its own map says, such as {min(names)}"
        )


def unknown_layout(why: str) -> StageError:
    """Return the error that says that a parameter cannot be found in DeepSpeed's shards."""
    return StageError(
        f"DeepSpeed {version('deepspeed')} lays parameters out in a way that is not known here: "
        f"{why}",
        hint=_USE_KNOWN,
    )


@contextmanager
def known_internals() -> Generator[None]:
    """Run what reads internals of DeepSpeed's, which another release may not have.

    Raises:
        StageError: says which is missing.
    """
    try:
        yield
    except (AttributeError, ImportError) as error:
        raise StageError(
            f"DeepSpeed {version('deepspeed')} lacks what training reads of it: {error}",
            hint=_USE_KNOWN,
        ) from error


def _said_and_wanted(
    engine: Any, config: TrainConfig, world_size: int
) -> dict[str, tuple[Any, Any]]:
    """Return what an engine says of itself beside what is right, by DeepSpeed's own keys."""
    import torch
    import torch.distributed as dist

    fp32 = torch.float32
    zero = "zero_optimization."
    return {
        f"{zero}stage": (engine.zero_optimization_stage(), config.zero.stage),
        f"{zero}round_robin_gradients": (engine.zero_round_robin_gradients(), False),
        f"{zero}offload_optimizer": (engine.zero_offload_optimizer(), None),
        f"{zero}offload_param": (engine.zero_offload_param(), None),
        f"{zero}zero_quantized_weights": (engine.zero_quantized_weights(), False),
        f"{zero}zero_quantized_gradients": (engine.zero_quantized_gradients(), False),
        f"{zero}zero_hpz_partition_size": (engine.zero_hpz_partition_size(), 1),
        "gradient_clipping": (engine.gradient_clipping(), config.gradient_clipping),
        "gradient_accumulation_steps": (engine.gradient_accumulation_steps(), 1),
        "fp16.enabled": (engine.fp16_enabled(), False),
        "bf16.enabled": (engine.bfloat16_enabled(), False),
        "torch_autocast.enabled": (engine.torch_autocast_enabled(), False),
        "communication_data_type": (engine.communication_data_type, fp32),
        "data_types.grad_accum_dtype": (engine.get_data_types()[1], fp32),
        "data-parallel ranks": (dist.get_world_size(engine.data_parallel_group), world_size),
    }
