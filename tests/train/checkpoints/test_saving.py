"""Where checkpoints are written to, which of them stay, and what becomes of one that fails."""

import errno
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import pytest
from one_rank import RANKS, alone, engine_of, folder_in, save, saver_of

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.leases import LeasePace, leased
from openalign.train.checkpoints import pieces, room
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.manifest import Progress, SavedFile
from openalign.train.checkpoints.resume import find_newest, go_back
from openalign.train.checkpoints.saver import Saver


@pytest.fixture(scope="module", autouse=True)
def group() -> Generator[None]:
    with alone():
        yield


AT_ONCE = LeasePace(expiry_seconds=0, poll_seconds=0)
"""Takes a lease whose holder is taken for dead."""


class _Usage(NamedTuple):
    free: int


def names(folder: CheckpointFolder) -> list[str]:
    return sorted(storage.list_names(folder.url))


def contents(folder: CheckpointFolder) -> dict[str, str]:
    """Return the hash of every file that is whole under its name, by its name."""
    found = [n for n in storage.list_files(folder.url) if not n.startswith(".")]
    return {name: storage.sha256_of(storage.join(folder.url, name)) for name in found}


@pytest.mark.parametrize("url", ["", "memory://moved/checkpoints"], ids=["folder", "URL"])
def test_it_is_told_that_files_get_on(tmp_path: Path, url: str) -> None:
    moves: list[str] = []
    folder = replace(folder_in(tmp_path, url), moved=lambda: moves.append("written"))
    save(folder, 2)
    assert "written" in moves

    read = replace(folder, moved=lambda: moves.append("read"))
    assert find_newest(read, RANKS, made_from={"`select`": "abc"}) is not None
    assert "read" in moves


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        pytest.param({"keep": 1}, [8], id="the newest"),
        pytest.param({"keep": 3}, [4, 6, 8], id="the three newest"),
        pytest.param({"keep": 1, "keep_every_steps": 4}, [4, 8], id="and every fourth step"),
        pytest.param({"keep": 1, "keep_every_steps": 3}, [6, 8], id="and every third step"),
        # A spike at step 8 undoes steps from 6, 5 or 4 on; one at a later step, later ones.
        pytest.param({"keep": 1, "undone_steps": 3}, [6, 8], id="and one to rewind to"),
        pytest.param({"keep": 1, "undone_steps": 4}, [4, 6, 8], id="or one further back"),
        pytest.param({"keep": 1, "undone_steps": 5}, [4, 6, 8], id="or one just far enough"),
        pytest.param({"keep": 1, "undone_steps": 1}, [8], id="or the newest"),
        pytest.param({"keep": 3, "undone_steps": 1}, [4, 6, 8], id="and never fewer"),
        pytest.param({"keep": 1, "undone_steps": 99}, [2, 4, 6, 8], id="all, near the start"),
    ],
)
def test_checkpoints_stay_by_rule(tmp_path: Path, changes: dict[str, int], kept: list[int]) -> None:
    folder = folder_in(tmp_path)

    save(folder, 2, 4, 6, 8, **changes)

    assert folder.steps() == kept[::-1]
    assert names(folder) == [f"step-{step:08d}" for step in kept]


def test_a_rewind_finds_the_newest_before_it_and_removes_what_is_beyond(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    save(folder, 2, 4, 6, 8, keep=4)

    found = go_back(folder, RANKS, made_from={"`select`": "abc"}, to=5)

    assert found is not None
    assert found.progress.step == 4
    assert folder.steps() == [4, 2]
    assert go_back(folder, RANKS, made_from={"`select`": "abc"}, to=1) is None
    assert folder.steps() == []


@pytest.mark.parametrize("url", ["", "memory://beyond/checkpoints"])
def test_what_lies_beyond_the_newest_pushes_nothing_out(tmp_path: Path, url: str) -> None:
    """A run went on from step 4, since 6 was cut off or damaged, and stopped at 5."""
    folder = folder_in(tmp_path, url)
    save(folder, 2, 4)
    storage.write_bytes(f"{folder.url_of(6)}/__0_0.distcp", b"the rest is missing")

    save(folder, 5, keep=1)

    assert folder.steps() == [5]
    found = find_newest(folder, RANKS, made_from={"`select`": "abc"})
    assert found is not None
    assert found.progress.step == 5
    found.forget()


def test_a_checkpoint_holds_what_was_there_when_it_was_asked_for(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    saver = saver_of(folder)
    engine, optimizer = engine_of(fill=1, step=1)

    saver.save(engine, optimizer, Progress(step=1))
    for tensor in engine.module.state_dict().values():  # the next step, while it is written
        tensor.fill_(99)
    saver.wait()
    saver.close()

    found = find_newest(folder, RANKS, made_from={"`select`": "abc"})
    assert found is not None
    found.load_towers(engine.module)
    assert {float(t.max()) for t in engine.module.state_dict().values()} == {1.0}


def test_what_a_run_has_noted_is_on_the_disk_before_a_checkpoint_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, metrics = folder_in(tmp_path), tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 0}\n')
    whole: dict[str, bool] = {}
    monkeypatch.setattr(
        storage, "sync", lambda path: whole.setdefault(path, Path(folder.url_of(1)).exists())
    )

    save(folder, 1, notes=[metrics, tmp_path / "skipped.jsonl", tmp_path])

    assert whole[str(metrics)] is False
    assert whole[str(tmp_path)] is False
    assert whole[folder.url] is True  # last of all


def test_a_run_under_a_url_goes_on_on_another_machine(tmp_path: Path) -> None:
    url = "memory://bucket/run/checkpoints"
    here, there = folder_in(tmp_path / "here", url), folder_in(tmp_path / "there", url)
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 0}\n')

    save(here, 2, 4, 6, beside={"memory://bucket/run/metrics.jsonl": metrics})
    found = find_newest(there, RANKS, made_from={"`select`": "abc"})

    assert names(here) == ["step-00000004", "step-00000006"]
    assert list((tmp_path / "here" / "scratch").iterdir()) == []
    assert storage.read_bytes("memory://bucket/run/metrics.jsonl") == metrics.read_bytes()
    assert found is not None
    assert found.progress.step == 6
    engine, _ = engine_of(fill=0, step=0)
    found.load_towers(engine.module)
    assert {float(t.max()) for t in engine.module.state_dict().values()} == {6.0}
    found.forget()
    assert list((tmp_path / "there" / "scratch").iterdir()) == []


@pytest.mark.parametrize("url", ["", "memory://fenced/checkpoints"])
def test_a_run_that_has_lost_its_lease_publishes_and_removes_nothing(
    tmp_path: Path, url: str
) -> None:
    """It was paused at step 4. The run that took over has saved the same step, and a later one."""
    leases = str(tmp_path / "leases")
    with leased(leases, "the run", on_loss=lambda: None) as old:
        paused = folder_in(tmp_path / "paused", url or str(tmp_path / "checkpoints"), old)
        save(paused, 2)
        with leased(leases, "the run", on_loss=lambda: None, pace=AT_ONCE) as new:
            folder = folder_in(tmp_path / "new", paused.url, new)
            save(folder, 4, 6, keep=3)
            before = contents(folder)
            with pytest.raises(StageError, match=r"no longer holds the run .process .* has tak"):
                save(paused, 4, keep=1)
            with pytest.raises(StageError, match="publishes nothing more"):
                paused.drop_old(newest=2, keep=1, keep_every_steps=0)

            assert contents(folder) == before
            assert folder.steps() == [6, 4, 2]


@pytest.mark.parametrize("names", [[], ["metrics.jsonl"]], ids=["alone", "with what is beside"])
@pytest.mark.parametrize("url", ["", "memory://fenced-late/checkpoints"])
def test_a_run_that_loses_its_lease_while_it_writes_makes_nothing_whole(
    tmp_path: Path, url: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = pieces.write
    leases = str(tmp_path / "leases")
    with leased(leases, "the run", on_loss=lambda: None) as old, ExitStack() as others:
        folder = folder_in(tmp_path, url, old)
        save(folder, 2)
        metrics = tmp_path / "metrics.jsonl"
        metrics.write_text("of a run that was away")

        def write_for_long(*arguments: Any, **options: Any) -> None:
            write(*arguments, **options)
            others.enter_context(leased(leases, "run", on_loss=lambda: None, pace=AT_ONCE))

        monkeypatch.setattr(pieces, "write", write_for_long)
        with pytest.raises(StageError, match="publishes nothing more"):
            save(folder, 4, beside={f"memory://fenced-late/{name}": metrics for name in names})

        assert not storage.exists(storage.join(folder.url_of(4), "checkpoint.json"))
        assert not storage.exists("memory://fenced-late/metrics.jsonl")
        assert storage.exists(storage.join(folder.url_of(2), "checkpoint.json"))


def test_two_runs_never_upload_to_one_file(tmp_path: Path) -> None:
    """A machine that is away for a moment may still be at an upload when it comes back."""
    url, leases = "memory://twice/checkpoints", str(tmp_path / "leases")
    with leased(leases, "the run", on_loss=lambda: None) as old:
        away = folder_in(tmp_path / "away", url, old)
        away.partial(4).mkdir(parents=True)
        (away.partial(4) / "__0_0.distcp").write_bytes(b"what it still has to upload")
        with leased(leases, "the run", on_loss=lambda: None, pace=AT_ONCE) as new:
            folder = folder_in(tmp_path / "new", url, new)
            save(folder, 4)
            away.upload(4, ["__0_0.distcp"])

            found = find_newest(folder, RANKS, made_from={"`select`": "abc"})
            assert found is not None
            assert found.progress.step == 4
            found.forget()


def test_an_upload_that_was_cut_off_is_no_checkpoint(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = folder_in(tmp_path, "memory://cut-off/checkpoints")
    save(folder, 2)
    storage.write_bytes(f"{folder.url_of(4)}/__0_0.distcp", b"the rest is missing")

    found = find_newest(folder, RANKS, made_from={"`select`": "abc"})

    assert found is not None
    assert found.progress.step == 2
    assert "cannot be used" not in capfd.readouterr().err


def test_an_upload_that_arrives_damaged_is_passed_over(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = folder_in(tmp_path, "memory://damaged/checkpoints")
    save(folder, 2, 4)
    url = f"{folder.url_of(4)}/__0_0.distcp"
    content = bytearray(storage.read_bytes(url))
    content[500] ^= 4
    storage.write_bytes(url, bytes(content))

    found = find_newest(folder, RANKS, made_from={"`select`": "abc"})

    assert found is not None
    assert found.progress.step == 2
    assert "__0_0.distcp holds other bytes than were written" in capfd.readouterr().err


def test_a_checkpoint_that_cannot_be_written_stops_the_run_and_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_in(tmp_path)
    save(folder, 2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torch.distributed.checkpoint.filesystem.os.fsync", full)
    saver = saver_of(folder)
    saver.save(*engine_of(fill=4, step=4), Progress(step=4))
    saver._thread.join()  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess]

    words = "checkpoint of step 4 could not be written: the disk is full"
    for told in (saver.check, saver.wait):
        with pytest.raises(StageError, match=words) as error:
            told()
        assert "goes on from the newest one" in str(error.value.hint)
    with pytest.raises(StageError, match=words):
        saver.save(*engine_of(fill=6, step=6), Progress(step=6))
    saver.close()
    assert folder.steps() == [2]
    folder.drop_unfinished()
    assert names(folder) == ["step-00000002"]


@pytest.mark.parametrize("content", [None, b"half"], ids=["elsewhere", "half"])
def test_a_checkpoint_without_what_another_rank_wrote_is_not_made_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """It wrote its share to a folder of this path on a disk of its own machine."""
    folder = folder_in(tmp_path)
    save(folder, 2)
    measured = Saver._measured  # pyright: ignore[reportPrivateUsage]

    def with_another(self: Saver, partial: Path) -> dict[str, SavedFile]:
        if content is not None:
            (partial / "__1_0.distcp").write_bytes(content)
        another = SavedFile(num_bytes=8, sha256="8" * 64)
        return {**measured(self, partial), "__1_0.distcp": another}

    monkeypatch.setattr(Saver, "_measured", with_another)

    with pytest.raises(StageError, match="the checkpoint of step 4 is not whole: ") as refused:
        save(folder, 4)

    assert str(refused.value).endswith("/__1_0.distcp is not what a rank wrote")
    assert folder.steps() == [2]


def test_an_upload_that_fails_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_in(tmp_path, "memory://refuses/checkpoints")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("403 Forbidden")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "put_file", refuse)
    saver = saver_of(folder)
    saver.save(*engine_of(fill=2, step=2), Progress(step=2))

    with pytest.raises(StageError, match=r"step 2 could not be written: PermissionError.*403"):
        saver.wait()
    saver.close()


def test_a_disk_without_room_for_one_checkpoint_is_told_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    engine, _ = engine_of(fill=0, step=0)
    parameters, buffers = list(engine.module.parameters()), list(engine.module.buffers())
    # 12 floats, three times, and 4 floats and an integer of 8 bytes; 2% and 1 MiB more.
    needed = int(1.02 * (12 * 4 * 3 + 4 * 4 + 8)) + 2**20
    assert room.bytes_of_checkpoint(parameters, buffers, num_kept=2) == needed
    free = {"bytes": needed}
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: _Usage(free["bytes"]))

    room.require_room(tmp_path / "not there yet", needed, at_once=3)
    assert (
        "3 more checkpoints, as many as will lie there at once, take 3.1 MB"
        in capfd.readouterr().err
    )
    free["bytes"] = 3 * needed
    room.require_room(tmp_path, needed, at_once=3)
    assert capfd.readouterr().err == ""
    free["bytes"] = needed - 1
    with pytest.raises(StageError, match=r"a checkpoint takes 1\.0 MB, and 1\.0 MB are free at"):
        room.require_room(tmp_path, needed, at_once=3)


def test_a_checkpoint_that_would_not_fit_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_in(tmp_path)
    save(folder, 2)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: _Usage(10))

    with pytest.raises(StageError, match=r"a checkpoint takes .* MB, and 0\.0 MB are free at"):
        save(folder, 4)

    assert folder.steps() == [2]
