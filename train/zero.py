"""DeepSpeed: the only file that knows its keys, its traps and its internals."""

import gc
import inspect
import logging
import math
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from openalign.host_memory import keep_freed_memory
from openalign.train import guard
from openalign.train.config import TrainConfig
from openalign.train.launch import VISIBLE_GPUS
from openalign.train.local_ranks import free_port, is_rank, rank_environment
from openalign.train.model.tensors import kept_buffers, trained_parameters
from openalign.train.optim.lamb import Piece, ShardedOptimizer, ShardLayout
from openalign.train.ranks import PATIENCE, RankGroup, device_of_rank, together

WEIGHT = "weight"
"""The name of the weights beside what the optimizer keeps of them."""

_NEVER = 2**31 - 1


@contextmanager
def joined_ranks() -> Generator[RankGroup]:
    """Join the processes that the environment names, or be the only rank where it names none.

    Inside another `joined_ranks` this is the same group: DeepSpeed cannot hold two in a process.

    Raises:
        StageError: the environment names a rank, but not all that a rank must know; or there are
            GPUs, and none is left for this rank; or a variable is refused (`guard`).
    """
    is_rank()  # refuses half an environment; the other half would be a lone rank's
    if VISIBLE_GPUS in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.pop(VISIBLE_GPUS)
    gpu = torch.cuda.is_available() and os.environ.get("DS_ACCELERATOR") != "cpu"
    device = device_of_rank() if gpu else torch.device("cpu")
    guard.check_environment(on_cpu=not gpu)
    # One thread makes batches: what several gain on a text they lose by waiting for each other.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not gpu:
        keep_freed_memory()
        os.environ["DS_ACCELERATOR"] = "cpu"  # before the import: else it probes, and warns
    import deepspeed
    import deepspeed.ops
    import deepspeed.utils.nvtx

    with guard.known_internals():
        # It would compile a C++ operator when ranks meet on a CPU; nothing here uses it.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.utils.nvtx.enable_nvtx = gpu  # thousands of ranges a step, for GPUs' profilers
    alone = {n: v for n, v in rank_environment(0, 1, free_port()).items() if n not in os.environ}
    os.environ |= alone
    first = not dist.is_initialized()
    deepspeed.init_distributed(
        dist_backend="nccl" if gpu else "gloo",
        timeout=PATIENCE,  # `watchdog` ends a run that hangs, and can say whom it waits for
        auto_mpi_discovery=False,
        verbose=False,
    )
    try:
        with guard.exact_products():
            rank, world_size = dist.get_rank(), dist.get_world_size()
            yield RankGroup(rank=rank, world_size=world_size, device=device)
    finally:
        if first:
            deepspeed.comm.destroy_process_group()  # Torch's own would leave DeepSpeed its copies
        for name in alone:  # else this process would be taken for a rank of others
            os.environ.pop(name, None)


def deepspeed_settings(
    config: TrainConfig, *, world_size: int, num_parameters: int
) -> dict[str, Any]:
    """Return DeepSpeed's own dictionary.

    It spells out every key whose default has changed between releases. It has no precision:
    DeepSpeed's bf16 mode casts weights but not batch-norm statistics, so the towers autocast.
    Its batch sizes are those of one pair a rank: they serve its own statistics alone, and it can
    express neither blocks nor uneven shares.

    The reuse distance is that within which stage 3 keeps a parameter for its next use. To find that
    use DeepSpeed walks, once a start, all modules that are still to come in the step, in Python,
    behind each of them: time that grows with the square of the blocks, and is many times a step's
    with B3 and BERT-Mini in two blocks. What is fetched ahead stays all the same.
    """
    # No larger than the model, and a multiple of DeepSpeed's alignment.
    bucket_size = math.ceil(min(config.zero.bucket_size, num_parameters) / 1024) * 1024
    return {
        "train_batch_size": world_size,
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": config.gradient_clipping,
        "steps_per_print": _NEVER,
        "wall_clock_breakdown": False,
        "zero_allow_untested_optimizer": True,  # it only silences the check
        "zero_optimization": {
            "stage": config.zero.stage,
            "round_robin_gradients": False,  # true makes its own map of shards wrong
            "sub_group_size": config.zero.sub_group_size,
            "stage3_max_reuse_distance": 0,  # see above
            "stage3_param_persistence_threshold": config.zero.persistence_threshold,
            "reduce_bucket_size": bucket_size,
            "allgather_bucket_size": bucket_size,
        },
    }


def start_engine(
    towers: nn.Module, optimizer: ShardedOptimizer, config: TrainConfig, ranks: RankGroup
) -> Any:
    """Return DeepSpeed's engine around the towers; the optimizer learns what its shards hold.

    Raises:
        StageError: the towers or the engine are not what training relies on (`guard`), on every
            rank.
    """
    import deepspeed

    together(partial(guard.check_towers, towers))
    count = sum(parameter.numel() for parameter in towers.parameters())
    settings = deepspeed_settings(config, world_size=ranks.world_size, num_parameters=count)
    # Its one warning here says that our optimizer is none of its own.
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    engine, *_ = deepspeed.initialize(
        model=towers.to(ranks.device),
        optimizer=optimizer,  # pyright: ignore[reportArgumentType]
        config=settings,
        dist_init_required=False,
    )
    together(partial(guard.check_engine, engine, config, world_size=ranks.world_size))
    _keep_signatures(towers)
    if ranks.world_size == 1 and config.zero.stage == 0:
        # Else it copies all gradients into a buffer and back, to sum them over one rank.
        engine.enable_backward_allreduce = False

    def lay_out() -> None:
        optimizer.layout = shard_layout(engine, optimizer)

    together(lay_out)
    _check_shards(engine, optimizer)
    return engine


def _keep_signatures(towers: nn.Module) -> None:
    """Tell stage 3's functions of autograd their arguments: PyTorch reads them before each call."""
    for module in towers.modules():
        for name in ("pre_bwd_fn", "post_bwd_fn"):
            if (function := module.__dict__.get(name)) is not None:
                function.forward.__signature__ = inspect.signature(function.forward)


def shard_layout(engine: Any, optimizer: ShardedOptimizer) -> ShardLayout | None:
    """Return where each parameter lies in this rank's shards; None in stage 0.

    Call it again after anything that moves the shards. All ranks must call it.

    Raises:
        StageError: they are not where they are looked for.
    """
    stage = engine.zero_optimization_stage()
    if stage == 0:
        return None
    group = engine.data_parallel_group
    rank = dist.get_rank(group)
    parameters = trained_parameters(engine.module).values()
    shards: list[Tensor] = []
    local: list[Tensor | None] = []

    def look() -> list[int]:
        with guard.known_internals():
            shards.extend(_shards(engine, optimizer))
            local.extend(_local_piece(parameter, stage, rank) for parameter in parameters)
        return [0 if piece is None else piece.numel() for piece in local]

    of_ranks = torch.tensor(together(look))
    whole = [getattr(parameter, "ds_numel", parameter.numel()) for parameter in parameters]
    if of_ranks.sum(0).tolist() != whole:
        raise guard.unknown_layout("the pieces of all ranks do not add up to the parameters")
    # Every stage hands a parameter's elements out in the order of ranks.
    offsets = of_ranks[:rank].sum(0).tolist()
    pieces: dict[int, list[Piece]] = {shard.data_ptr(): [] for shard in shards}
    for number, piece in enumerate(local):
        if piece is None or piece.numel() == 0:
            continue
        shard = _containing(piece, shards)
        start = (piece.data_ptr() - shard.data_ptr()) // shard.element_size()
        pieces[shard.data_ptr()].append(Piece(number, start, piece.numel(), offsets[number]))
    return ShardLayout(pieces=pieces, num_parameters=len(local), group=group)


def _check_shards(engine: Any, optimizer: ShardedOptimizer) -> None:
    """See that all is fp32, and that pieces hold what their map says; all ranks must call it.

    The sizes of pieces can add up where their places are wrong. Before the first step a shard holds
    the weights themselves, so that values tell.
    """
    towers, layout = engine.module, optimizer.layout
    shards = [] if layout is None else _shards(engine, optimizer)
    tensors = {f"shard {number} of DeepSpeed's": shard for number, shard in enumerate(shards)}
    together(partial(guard.check_fp32, guard.tensors_of(towers) | tensors))
    if layout is None:
        return
    held: dict[int, list[tuple[int, Tensor]]] = {}
    for shard in shards:
        for piece in layout.pieces[shard.data_ptr()]:
            values = shard.detach().view(-1).narrow(0, piece.start, piece.size)
            held.setdefault(piece.parameter, []).append((piece.offset, values))
    misplaced: list[str] = []
    for number, (name, parameter) in enumerate(trained_parameters(towers).items()):
        whole = whole_parameter(parameter).view(-1)  # on every rank: stage 3 gathers it
        for offset, values in held.get(number, ()):
            own = whole.narrow(0, offset, values.numel())
            if not torch.equal(values.view(torch.int32), own.view(torch.int32)):  # NaN is itself
                misplaced.append(name)
    together(partial(guard.check_misplaced, misplaced))


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPiece:
    """The part of one parameter that this rank's optimizer updates."""

    name: str
    shape: tuple[int, ...]
    """Of the whole parameter."""

    offset: int
    """Of the first element among those of the flattened parameter."""

    values: Mapping[str, Tensor]
    """One-dimensional views of the weights and of what the optimizer keeps of them, by name."""

    step: Tensor
    """Updates so far; shared by all pieces of a shard."""


def local_pieces(engine: Any, optimizer: ShardedOptimizer) -> list[LocalPiece]:
    """Return all that this rank's optimizer holds, by parameter; in stage 0 that is everything."""
    parameters = trained_parameters(engine.module)
    shapes = {name: tuple(getattr(p, "ds_shape", p.shape)) for name, p in parameters.items()}
    names = list(parameters)
    layout = optimizer.layout
    if layout is None:
        shards: list[Tensor] = list(parameters.values())
        places = [[Piece(number, 0, shard.numel())] for number, shard in enumerate(shards)]
    else:
        shards = _shards(engine, optimizer)
        places = [layout.pieces[shard.data_ptr()] for shard in shards]
    found: list[LocalPiece] = []
    for shard, pieces in zip(shards, places, strict=True):
        state = optimizer.state_of(shard)
        whole = {WEIGHT: shard.detach(), **{name: state[name] for name in optimizer.kept}}
        for piece in pieces:
            views = {
                name: tensor.view(-1).narrow(0, piece.start, piece.size)
                for name, tensor in whole.items()
            }
            name = names[piece.parameter]
            found.append(
                LocalPiece(
                    name=name,
                    shape=shapes[name],
                    offset=piece.offset,
                    step=state["step"],
                    values=views,
                )
            )
    return found


@torch.no_grad()
def show_weights(engine: Any, optimizer: ShardedOptimizer, part: str) -> None:
    """Let the towers have what the optimizer's shards hold as `part`; all ranks must call it.

    That is the weights themselves or, in their place, what is kept of them, such as the moving
    averages (`EMA`). Then the optimizer's own weights differ, and no step may follow.
    """
    from deepspeed import zero

    local: dict[str, list[LocalPiece]] = {}
    for piece in local_pieces(engine, optimizer):
        local.setdefault(piece.name, []).append(piece)
    for name, parameter in trained_parameters(engine.module).items():
        whole = torch.zeros(getattr(parameter, "ds_numel", parameter.numel())).to(parameter.device)
        for piece in local.get(name, []):
            values = piece.values[part]
            whole.narrow(0, piece.offset, values.numel()).copy_(values)
        if optimizer.layout is not None:
            dist.all_reduce(whole, group=optimizer.layout.group)
        is_cut = hasattr(parameter, "ds_id")
        with zero.GatheredParameters([parameter], modifier_rank=0, enabled=is_cut):
            if not is_cut or dist.get_rank() == 0:  # the others get rank 0's
                parameter.copy_(whole.view_as(parameter))


def take_step(engine: Any, optimizer: ShardedOptimizer, loss: Tensor) -> float:
    """Update the towers from a loss; return the norm of the global gradient before clipping.

    Where that norm is not finite, on whichever rank, nothing is updated and nan is returned.
    """
    optimizer.start_step()
    engine.backward(loss)
    if engine.zero_optimization_stage() == 0:
        # Stage 0 checks nothing; the other stages take the norm themselves and skip the step.
        gradients = [p.grad for p in engine.module.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients))
        if not math.isfinite(norm):
            engine.zero_grad()
            return math.nan
        engine.step()
        return norm
    engine.step()
    return float(engine.get_global_grad_norm()) if engine.was_step_applied() else math.nan


def whole_parameter(parameter: Any) -> Tensor:
    """Return a parameter's whole value; in stage 3 all ranks must call this.

    What stage 3 keeps whole (`persistence_threshold`) needs no collective.
    """
    from deepspeed import zero

    with zero.GatheredParameters([parameter], enabled=_is_cut(parameter)):
        return parameter.detach().clone()


def on_first_rank(parameter: Any) -> Tensor:
    """Return a parameter of one element on rank 0, which has it in every stage: no rank is asked.

    In stage 3 the other ranks have nothing but padding.
    """
    if not _is_cut(parameter):
        return parameter.detach()
    piece = _local_piece(parameter, 3, 0)
    assert piece is not None
    return piece.detach()


def _is_cut(parameter: Any) -> bool:
    """Tell whether this rank has but a piece of a parameter, as stage 3 leaves it."""
    from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus

    return hasattr(parameter, "ds_id") and parameter.ds_status is not ZeroParamStatus.AVAILABLE


def whole_weights(engine: Any) -> dict[str, Tensor]:
    """Return the towers' parameters and buffers, whole and on the CPU; all ranks must call it."""
    from deepspeed import zero

    parameters = dict(engine.module.named_parameters())
    partitioned = [p for p in parameters.values() if hasattr(p, "ds_id")]
    with zero.GatheredParameters(partitioned, enabled=bool(partitioned)):
        found = {name: p.detach().cpu().clone() for name, p in parameters.items()}
    buffers = kept_buffers(engine.module)
    return found | {name: buffer.detach().cpu().clone() for name, buffer in buffers.items()}


def stop_engine(engine: Any) -> None:
    """Let go of the engine's hooks and memory, so that another one can be started."""
    engine.destroy()
    gc.collect()


def _shards(engine: Any, optimizer: ShardedOptimizer) -> list[Tensor]:
    """Return this rank's flat shards, which stages 1 to 3 have, in their order."""
    if engine.zero_optimization_stage() == 3:
        return list(engine.optimizer.fp32_partitioned_groups_flat)
    return [shard for group in optimizer.param_groups for shard in group["params"]]


def _local_piece(parameter: Any, stage: int, rank: int) -> Tensor | None:
    if stage == 3:
        from deepspeed.utils import safe_get_local_fp32_param

        local = safe_get_local_fp32_param(parameter)
        # The end of the last rank's piece is padding that nobody initializes: not ours.
        valid = parameter.ds_numel - rank * local.numel()
        return local.narrow(0, 0, min(max(valid, 0), local.numel()))
    mapping = parameter._hp_mapping  # noqa: SLF001  # it backs the public safe_get_full_fp32_param
    return None if mapping is None else mapping.hp_fragment


def _containing(piece: Tensor, shards: list[Tensor]) -> Tensor:
    for shard in shards:
        end = shard.data_ptr() + shard.numel() * shard.element_size()
        if shard.data_ptr() <= piece.data_ptr() < end:
            return shard
    raise guard.unknown_layout("a piece of a parameter lies in no shard of the optimizer")
