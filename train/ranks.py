"""The processes that make a stage together, as each of them sees the others."""

import itertools
import os
import pickle
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast
from uuid import uuid4

import torch
import torch.distributed as dist

from openalign.errors import OpenAlignError, StageError, users_mistake
from openalign.files import storage
from openalign.train.local_ranks import is_rank

T = TypeVar("T")

PATIENCE = timedelta(days=30)
"""Ranks that share work without steps may wait long for the slowest. One that died is noticed by
its closed connections."""

SIGHT_SECONDS = 10.0
"""How long a shared folder may take to show a machine what another has written there."""

_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RankGroup:
    """This process among those that make a stage together."""

    rank: int
    world_size: int
    device: torch.device
    """What it computes on."""


def alone() -> RankGroup:
    """Return the group of a process that makes a stage by itself."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return RankGroup(rank=0, world_size=1, device=device)


@contextmanager
def met_ranks() -> Generator[RankGroup]:
    """Meet the processes that the environment names, or be alone where it names none.

    They hand each other small records through the CPUs (gloo). What lies on GPUs goes between
    these (NCCL), where ranks train something together.

    Raises:
        StageError: the environment names a rank, but not all that a rank must know; or there are
            GPUs, and none is left for this rank.
    """
    if not is_rank():
        yield alone()
        return
    gpu = torch.cuda.is_available()
    device = device_of_rank() if gpu else torch.device("cpu")
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=PATIENCE)
    try:
        yield RankGroup(rank=dist.get_rank(), world_size=dist.get_world_size(), device=device)
    finally:
        dist.destroy_process_group()


def is_first_of_machine() -> bool:
    """Tell whether this rank does what is done once a machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def device_of_rank() -> torch.device:
    """Return this rank's GPU, which becomes the device of everything that names none.

    Raises:
        StageError: there are fewer GPUs than ranks.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    count = torch.cuda.device_count()
    if local_rank >= count:
        raise StageError(
            f"rank {local_rank} of this machine has no GPU: this process sees {count}, and each "
            "rank needs one of its own",
            hint="start one process a GPU and let each see all GPUs of the machine, or set "
            'CUDA_VISIBLE_DEVICES="" to compute on CPUs',
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def on_rank_0(ranks: RankGroup, work: Callable[[], T]) -> T:
    """Run `work` on rank 0 alone and return its value on every rank; all ranks must call this.

    An error of `work` ends every rank, so that none waits for one that has ended: a user's mistake
    is raised as it is, and any other error becomes a `StageError` on the ranks that only wait.
    """
    if ranks.world_size == 1:
        return work()
    value: T | None = None
    error: Exception | None = None
    if ranks.rank == 0:
        try:
            value = work()
        except Exception as caught:  # noqa: BLE001  # raised below, once the others know
            error = caught
    shared: list[Any] = [value, _for_the_others(error)]
    dist.broadcast_object_list(shared, src=0)
    if error is not None:
        raise error
    if shared[1] is not None:
        raise shared[1]
    return shared[0]


def slow_on_rank_0(ranks: RankGroup, work: Callable[[], None]) -> None:
    """Run `work` on rank 0 while the others wait, for hours if need be; all ranks must call this.

    No collective is open meanwhile, whose timeout would end the run: the others wait on the store
    through which the ranks met. It lies with rank 0 or with what started the ranks, and its closed
    connection tells of their death. An error of `work` ends every rank, as in `on_rank_0`.
    """
    if ranks.world_size == 1:
        work()
        return
    store = _store()
    error: Exception | None = None
    if ranks.rank == 0:
        try:
            work()
        except Exception as caught:  # noqa: BLE001  # raised below, once the others know
            error = caught
        store.set("error", pickle.dumps(_for_the_others(error)).hex())
    store.wait(["error"], PATIENCE)
    told = error or pickle.loads(bytes.fromhex(store.get("error").decode()))  # noqa: S301  # rank 0's own
    after_every_rank(ranks)  # the store may lie with rank 0
    if told is not None:
        raise told


def slow_on_every_rank(ranks: RankGroup, work: Callable[[], T]) -> T:
    """Run `work` on every rank, each at its own pace; all ranks must call this.

    An error of one rank ends all of them, once all have come to the end of their work.
    """
    value: T | None = None
    error: Exception | None = None
    try:
        value = work()
    except Exception as caught:  # noqa: BLE001  # raised below, once the others know
        error = caught

    def tell() -> None:
        if error is not None:
            raise error

    after_every_rank(ranks)
    together(tell)
    return cast("T", value)


def after_every_rank(ranks: RankGroup) -> None:
    """Wait until every rank has come here, for hours if need be; all ranks must call this."""
    store = _store()
    if store.add("here", 1) == ranks.world_size:
        store.set("all", "")
    store.wait(["all"], PATIENCE)


_meetings = itertools.count()


def _store() -> dist.Store:
    """Return a part of the ranks' store that no earlier meeting has used.

    Every rank asks for the same ones in the same order.
    """
    store = dist.distributed_c10d._get_default_store()  # noqa: SLF001  # torch has no public name
    return dist.PrefixStore(f"openalign/{next(_meetings)}", store)


def from_every_rank(ranks: RankGroup, value: T) -> list[T]:
    """Return what each rank has, in the order of ranks; all ranks must call this."""
    if ranks.world_size == 1:
        return [value]
    found: list[Any] = [None] * ranks.world_size
    dist.all_gather_object(found, value)
    return found


def together(work: Callable[[], T], *, group: Any = None) -> list[T]:
    """Run `work` on every rank of a group and return all values, in the order of ranks.

    An error of one rank is raised on all of them, so that none waits for another: one of ours as it
    is, any other, as of a full disk, as a `StageError` that names the rank, where it was not.
    """
    value: T | None = None
    error: Exception | None = None
    try:
        value = work()
    except Exception as caught:  # noqa: BLE001  # raised below, once the others know
        error = caught
    if dist.get_world_size(group) == 1:
        found: list[Any] = [(value, None)]
    else:
        found = [None] * dist.get_world_size(group)
        dist.all_gather_object(found, (value, _for_the_others(error, dist.get_rank())), group)
    if error is not None:
        raise error
    for _, other in found:
        if other is not None:
            raise other
    return [value for value, _ in found]


def check_same(ranks: RankGroup, facts: Mapping[str, str]) -> None:
    """See that every rank has the facts of rank 0, by their names; all ranks must call this.

    Raises:
        StageError: names the first rank that differs, in what, and both values; on every rank.
    """
    first, *others = from_every_rank(ranks, dict(facts))
    for rank, found in enumerate(others, start=1):
        differing = [
            f"{name} ({_shown(found.get(name))} in place of {_shown(first.get(name))})"
            for name in first | found
            if first.get(name) != found.get(name)
        ]
        if differing:
            raise StageError(
                f"rank {rank} does not have the same as rank 0: {', '.join(differing)}",
                hint="start every rank with the same settings and the same versions of libraries, "
                "and let each read the same files, which nobody may change meanwhile",
            )


def check_shared(ranks: RankGroup, folder: str) -> None:
    """See that every rank has before it the folder that rank 0 has; all ranks must call this.

    A URL is one place. A path may lead to a disk of each machine's own, on which ranks would each
    write a part of what must lie together.

    Raises:
        StageError: names the first rank that has another folder; on every rank.
    """
    if ranks.world_size == 1 or not storage.is_local(folder):
        return
    name = on_rank_0(ranks, lambda: _leave_in(folder))
    found = together(lambda: (_is_seen(storage.join(folder, name)), folder))
    if ranks.rank == 0:
        with suppress(OSError):  # by its name it belongs to nobody
            storage.remove(storage.join(folder, name))
    for rank, (is_seen, its_folder) in enumerate(found):
        if not is_seen:
            raise StageError(
                f"{its_folder} of rank {rank}'s machine is not the folder that rank 0 has there",
                hint="set `root` to a folder that all machines share under one name, or to a URL",
            )


def _leave_in(folder: str) -> str:
    name = f"{storage.UNFINISHED}seen-by-all-{uuid4().hex}"
    storage.write_bytes(storage.join(folder, name), b"")
    return name


def _is_seen(url: str) -> bool:
    deadline = time.monotonic() + SIGHT_SECONDS
    while not storage.exists(url):
        if time.monotonic() > deadline:
            return False
        time.sleep(SIGHT_SECONDS / 100)
    return True


def _shown(value: str | None) -> str:
    """Return a value for people: of a hash, enough to see that it is another."""
    if value is None:
        return "nothing"
    return f"{value[:12]}..." if _HASH.fullmatch(value) else value


def _for_the_others(error: Exception | None, rank: int = 0) -> OpenAlignError | None:
    if error is None or isinstance(error, OpenAlignError):
        return error
    if (mistake := users_mistake(error)) is not None:  # on its machine, which may be another
        return StageError(f"rank {rank}: {mistake}", hint=mistake.hint)
    return StageError(f"rank {rank} failed: {error!r}", hint="its messages have the traceback")
