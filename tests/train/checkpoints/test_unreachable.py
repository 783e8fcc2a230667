"""Checkpoints that are whole and cannot be read: they are no damaged ones."""

import errno
import pickle
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
import torch.distributed as dist
from fsspec.implementations.local import LocalFileSystem
from one_rank import RANKS, alone, folder_in, save
from tiny_training import finish, start_ranks

from openalign.errors import StageError
from openalign.files import remote_reads
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.resume import FoundCheckpoint, find_newest
from openalign.train.ranks import RankGroup

MADE_FROM = {"`select`": "abc"}
STALE = OSError(errno.ESTALE, "Stale file handle")
BAD_DISK = OSError(errno.EIO, "Input/output error")
NUM_TRIES = 5


@pytest.fixture
def group() -> Generator[None]:
    with alone():
        yield


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_reads.time, "sleep", lambda _: None)


@pytest.fixture
def two(tmp_path: Path, group: None) -> CheckpointFolder:
    """The checkpoints of steps 3 and 6."""
    del group
    save(folder_in(tmp_path), 3, 6)
    return folder_in(tmp_path)


def newest(folder: CheckpointFolder) -> FoundCheckpoint | None:
    return find_newest(folder, RANKS, made_from=MADE_FROM)


def failing(
    work: Callable[..., Any], name: str, error: Exception, *, times: int
) -> Callable[..., Any]:
    """Return what does the work of a driver, and fails so many times where a path ends so."""
    left = [error] * times

    def fail(self: Any, path: str, *arguments: Any, **options: Any) -> Any:
        if path.endswith(name) and left:
            raise left.pop()
        return work(self, path, *arguments, **options)

    return fail


@pytest.mark.parametrize("name", ["step-00000006/__0_0.distcp", "step-00000006/checkpoint.json"])
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(STALE, id="a stale handle"),
        pytest.param(TimeoutError("no answer"), id="a server that is late"),
        pytest.param(ConnectionResetError("reset by peer"), id="a connection that breaks"),
    ],
)
def test_a_file_that_cannot_be_reached_is_read_again_and_then_ends_the_run(
    two: CheckpointFolder,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    name: str,
) -> None:
    opened = LocalFileSystem._open  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(LocalFileSystem, "_open", failing(opened, name, error, times=NUM_TRIES - 1))

    found = newest(two)

    assert found is not None
    assert found.progress.step == 6
    assert "cannot be used" not in capfd.readouterr().err
    monkeypatch.setattr(LocalFileSystem, "_open", failing(opened, name, error, times=NUM_TRIES))
    with pytest.raises(StageError, match=f"{name}: its bytes could not be read, 5 times") as told:
        newest(two)
    assert "the checkpoint stays; " in str(told.value.hint)
    assert two.steps() == [6, 3]


def test_a_file_that_may_not_be_read_ends_the_run(
    two: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = failing(
        LocalFileSystem._open,  # pyright: ignore[reportPrivateUsage]
        "step-00000006/__0_0.distcp",
        PermissionError(errno.EACCES, "Permission denied"),
        times=1,
    )
    monkeypatch.setattr(LocalFileSystem, "_open", refused)

    with pytest.raises(StageError, match=r"step-00000006/__0_0\.distcp may not be read: ") as told:
        newest(two)
    assert told.value.hint == "the checkpoint stays; see that its permissions let you"


@pytest.mark.parametrize("name", ["__0_0.distcp", "checkpoint.json"])
def test_a_disk_that_cannot_give_the_bytes_back_is_damage(
    two: CheckpointFolder,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
) -> None:
    opened = LocalFileSystem._open  # pyright: ignore[reportPrivateUsage]
    broken = failing(opened, f"step-00000006/{name}", BAD_DISK, times=NUM_TRIES)
    monkeypatch.setattr(LocalFileSystem, "_open", broken)

    found = newest(two)

    assert found is not None
    assert found.progress.step == 3
    assert f"cannot be used: {name} cannot be read: [Errno 5]" in capfd.readouterr().err


def test_a_mount_that_is_away_and_says_a_bad_disk_costs_no_checkpoint(
    two: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = LocalFileSystem._open  # pyright: ignore[reportPrivateUsage]
    away = failing(opened, "step-00000006/__0_0.distcp", BAD_DISK, times=NUM_TRIES - 1)
    monkeypatch.setattr(LocalFileSystem, "_open", away)

    found = newest(two)

    assert found is not None
    assert found.progress.step == 6


def test_a_folder_that_cannot_be_listed_is_not_one_without_checkpoints(
    two: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run would start over, and its first checkpoint would remove all others."""
    for work in ("ls", "info"):
        broken = failing(getattr(LocalFileSystem, work), "checkpoints", STALE, times=99)
        monkeypatch.setattr(LocalFileSystem, work, broken)

    with pytest.raises(StageError, match=r"checkpoints: its names could not be read, 5 times"):
        newest(two)


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(
    ("work", "name"),
    [("cat_file", "checkpoint.json"), ("info", "checkpoint.json"), ("get_file", "__0_0.distcp")],
)
@pytest.mark.parametrize("error", [TimeoutError("no answer"), BAD_DISK], ids=["late", "unknown"])
def test_a_store_that_fails_once_costs_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str, name: str, error: Exception
) -> None:
    """Drivers call by the number of a bad disk what they have no other for."""
    folder = folder_in(tmp_path, f"memory://{tmp_path.name}/checkpoints")
    save(folder, 3, 6)
    memory = fsspec.get_filesystem_class("memory")
    once = failing(getattr(memory, work), f"step-00000006/{name}", error, times=1)
    monkeypatch.setattr(memory, work, once)

    found = newest(folder)

    assert found is not None
    assert found.progress.step == 6
    found.forget()


def look_as_one_of_two(path: str) -> None:
    """Be one of two ranks, of which the second cannot read its file; note what was told."""
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    told = ""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(remote_reads.time, "sleep", lambda _: None)
        if rank == 1:
            opened = LocalFileSystem._open  # pyright: ignore[reportPrivateUsage]
            stale = failing(opened, "__0_0.distcp", STALE, times=NUM_TRIES)
            patched.setattr(LocalFileSystem, "_open", stale)
        ranks = RankGroup(rank=rank, world_size=2, device=torch.device("cpu"))
        try:
            find_newest(folder_in(Path(path)), ranks, made_from=MADE_FROM)
        except StageError as error:
            told = str(error)
    Path(path, f"{rank}.pkl").write_bytes(pickle.dumps(told))
    dist.destroy_process_group()


@pytest.mark.distributed
def test_all_ranks_end_where_one_cannot_read_its_file(
    two: CheckpointFolder, tmp_path: Path
) -> None:
    """The names are `.metadata`, which rank 0 reads, and `__0_0.distcp`."""
    job = (look_as_one_of_two, (str(tmp_path),))

    finish(start_ranks(job, num_ranks=2, folder=tmp_path / "ranks"))

    told = [pickle.loads((tmp_path / f"{rank}.pkl").read_bytes()) for rank in range(2)]
    assert told[0] == told[1]
    assert "step-00000006/__0_0.distcp: its bytes could not be read, 5 times in a row" in told[0]
    assert two.steps() == [6, 3]
