"""What every starter of ranks needs: what a rank is, how many there can be, and their end."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from openalign.errors import StageError
from openalign.telemetry import say

_RANK_NEEDS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def is_rank() -> bool:
    """Tell whether this process is a rank: torchrun's, a Kubernetes operator's, or one of ours.

    Raises:
        StageError: the environment names a rank, but not all that a rank must know; or none, and
            srun has started this process several times.
    """
    if not {"RANK", "WORLD_SIZE"} & os.environ.keys():
        _refuse_several_tasks()
        return False
    missing = [name for name in _RANK_NEEDS if name not in os.environ]
    if missing:
        given = [name for name in _RANK_NEEDS if name in os.environ]
        raise StageError(
            f"the environment sets {', '.join(given)} but not {', '.join(missing)}, so this "
            "process cannot meet the other ranks",
            hint=f"set {', '.join(_RANK_NEEDS)} for every rank, as torchrun does, or none of them",
        )
    return True


def _refuse_several_tasks() -> None:
    """Refuse to be one of several tasks of srun, each of which would start ranks of its own.

    A batch script has the numbers of its job, SLURM_PROCID 0 among them, and none of a step.
    """
    number = os.environ.get("SLURM_PROCID", "0")
    of_step = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    if number == "0" and of_step == "1":
        return
    raise StageError(
        f"this process is task {number} of several that srun has started, and each of them would "
        "start ranks of its own",
        hint="start one torchrun a node: `srun --ntasks-per-node 1 torchrun ... -m openalign ...` "
        "(docs/train.md#ranks); for a run that has nothing to do with the other tasks, "
        "`env -u SLURM_PROCID -u SLURM_STEP_NUM_TASKS openalign ...`",
    )


def rank_environment(rank: int, world_size: int, port: int) -> dict[str, str]:
    """Return what a rank's environment says when all ranks are on this machine."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def end_with_starter() -> None:
    """Have this rank end when the process that started it is gone, whatever ended it.

    The starter holds the other end of the ranks' standard input open; the system closes it with
    the starter. What it writes there asks a rank to stop, as SIGUSR1 does; a rank that hears it
    asks the others. Only ranks that have such a starter may call this.
    """
    threading.Thread(target=_end_after_starter, name="starter", daemon=True).start()


def _end_after_starter() -> None:
    while os.read(0, 1):
        os.kill(os.getpid(), signal.SIGUSR1)
    os._exit(1)


def num_local_ranks(asked: int, *, num_gpus: int, stage: str) -> int:
    """Return how many ranks to start: one a GPU at most, or as many as asked where there is none.

    0 asks for one a GPU. NCCL refuses two ranks on one GPU.
    """
    if not num_gpus:
        return asked or 1
    if asked > num_gpus:
        say(
            f"{stage:9} {num_gpus} of {asked} ranks can start: each needs a GPU of its own; "
            'CUDA_VISIBLE_DEVICES="" hides the GPUs, and ranks take CPUs'
        )
    return min(asked or num_gpus, num_gpus)


def count_gpus() -> int:
    """Return the number of GPUs that this process may use."""
    if not _may_have_gpu():
        return 0
    import torch

    return torch.cuda.device_count()


def _may_have_gpu() -> bool:
    """Tell whether there may be a GPU, without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    # A container may be given any one of them, under the number that it has on the machine.
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


@contextmanager
def orderly_end(
    message: str,
    signals: Sequence[signal.Signals] = (signal.SIGTERM,),
    *,
    heard: Callable[[int], object] = lambda _: None,
) -> Generator[None]:
    """Turn signals into an exception, so that `finally` blocks run; `message` is said then.

    The first one alone does. `heard` is called with the number of each, before and after.
    Ctrl-C ends a read or a wait at once, too.

    Raises:
        SystemExit: this process got one of them; the code is 143, a shell's for SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def hear(number: int, _: FrameType | None) -> None:
        heard(number)

    def end(number: int, _: FrameType | None) -> None:
        for each in signals:  # a second one must not cut the stop short
            signal.signal(each, hear)
        heard(number)
        say(message)
        raise SystemExit(128 + signal.SIGTERM)

    before = {number: signal.signal(number, end) for number in signals}
    # Polars brings a handler of its own, behind which a read or a wait would go on to its end.
    signal.siginterrupt(signal.SIGINT, True)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
