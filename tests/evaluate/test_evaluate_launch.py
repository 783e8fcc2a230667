"""Starting and watching ranks: toys take the place of those that embed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rank_processes import environment, is_alive, process_ids, wait_until

from openalign.errors import StageError
from openalign.evaluate import launch
from openalign.train.stopping import STOPPED

pytestmark = pytest.mark.distributed


def start(folder: Path, *orders: str) -> None:
    launch.launch(
        orders,
        count=len(orders),
        work=str(folder / "work"),
        module="toy_rank",
        environment=environment(),
    )


def test_ranks_know_their_place_and_where_to_meet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    asked = ",".join(f"environment:{name}" for name in names)

    start(tmp_path, f"0={asked}", f"1={asked}")

    first, second = (
        (tmp_path / "work" / "logs" / f"rank-{rank}.log").read_text().splitlines()
        for rank in range(2)
    )
    assert first[:3] == ["LOCAL_RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1"]
    assert second[0] == "LOCAL_RANK=1"
    assert second[1:] == first[1:]
    assert first[3].removeprefix("MASTER_PORT=").isdigit()
    assert f"starts 2 ranks; their logs are in {tmp_path}/work/logs" in capsys.readouterr().err


def test_only_the_messages_of_rank_0_are_passed_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(tmp_path, "0=say:I am the first", "1=say:I am the second")

    said = capsys.readouterr().err
    assert "I am the first\n" in said
    assert "I am the second" not in said
    assert (tmp_path / "work/logs/rank-1.log").read_text() == "I am the second\n"


def test_a_rank_that_fails_ends_the_others_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        start(tmp_path, f"0=sleep:{tmp_path}", "1=say:error: a.jpg is gone,exit:2")

    assert str(caught.value) == (
        f"rank 1 of 2 ended with code 2; its log is {tmp_path}/work/logs/rank-1.log; "
        "its last lines were:\n\nerror: a.jpg is gone\n"
    )
    assert not any(map(is_alive, process_ids(tmp_path)))


def test_a_rank_that_was_asked_to_stop_is_no_failure(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        start(tmp_path, f"0=sleep:{tmp_path}", f"1=exit:{STOPPED}")

    assert caught.value.code == STOPPED
    assert not any(map(is_alive, process_ids(tmp_path)))


def test_what_rank_0_said_is_not_said_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StageError) as caught:
        start(tmp_path, "0=say:error: a.jpg is gone,exit:2", f"1=sleep:{tmp_path}")

    assert str(caught.value).endswith(
        "ended with code 2; its log is " + str(tmp_path / "work/logs/rank-0.log")
    )
    assert "error: a.jpg is gone" in capsys.readouterr().err


def test_a_rank_that_the_system_killed_hints_at_memory(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="rank 2 of 3 was ended by SIGKILL; its log") as caught:
        start(tmp_path, f"0=sleep:{tmp_path}", "1=exit:0", "2=kill")

    assert "a smaller `evaluate.batch_size`" in (caught.value.hint or "")


def test_one_bar_shows_the_progress_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[tuple[int, int]] = []

    class Bar:
        def __init__(self, label: str, total: int) -> None:
            self.total = total

        def show(self, done: int, text: str) -> None:
            shown.append((done, self.total))

        def close(self) -> None:
            shown.append((-1, -1))

    monkeypatch.setattr(launch, "Bar", Bar)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    start(tmp_path, "0=progress:4,say:done", "1=progress:3,say:done")

    assert shown == [(7, 20), (-1, -1)]
    assert "\x1e" not in capsys.readouterr().err


STARTER = """
import sys
from rank_processes import environment
from openalign.evaluate.launch import launch
launch(sys.argv[2:], count=2, work=sys.argv[1], module="toy_rank", environment=environment())
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGTERM, 143, id="terminated"),
        pytest.param(signal.SIGUSR1, 143, id="preempted"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="killed"),
    ],
)
def test_ranks_end_with_the_process_that_started_them(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    orders = [f"{rank}=sleep:{tmp_path}" for rank in range(2)]
    command = [sys.executable, "-c", STARTER, str(tmp_path / "work"), *orders]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) as starter:
        wait_until(lambda: len(process_ids(tmp_path)) == 2)
        assert all(map(is_alive, process_ids(tmp_path)))

        os.kill(starter.pid, number)

        assert starter.wait(120) == code
    wait_until(lambda: not any(map(is_alive, process_ids(tmp_path))))


ONE_PROCESS = """
import sys, tempfile, time
from pathlib import Path
from openalign.run.stage_work import evaluating
def stall(_):
    with tempfile.TemporaryDirectory(dir=sys.argv[1], prefix="copy-"):
        Path(sys.argv[1], "ready").touch()
        time.sleep(600)
evaluating.run_as_rank = stall
evaluating.start(None, num_processes=1)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_one_process_that_is_asked_to_stop_leaves_no_copies_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", ONE_PROCESS, str(tmp_path)]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE) as process:
        wait_until((tmp_path / "ready").exists)

        process.send_signal(number)

        assert process.wait(120) == 143
        assert process.stderr is not None
        assert b"evaluate  stops; the same command goes on from there" in process.stderr.read()
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]


def test_a_rank_does_not_start_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")

    with pytest.raises(StageError, match="is one of several ranks and cannot start others"):
        start(tmp_path, "0=exit:0")


@pytest.mark.parametrize(
    ("asked", "num_gpus", "expected"),
    [
        pytest.param(1, 8, 1, id="one"),
        pytest.param(0, 8, 8, id="one a GPU"),
        pytest.param(0, 0, 1, id="one without a GPU"),
        pytest.param(3, 0, 3, id="as asked without a GPU"),
        pytest.param(3, 2, 2, id="at most the GPUs"),
    ],
)
def test_there_are_as_many_ranks_as_asked_and_as_gpus(
    asked: int, num_gpus: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "count_gpus", lambda: num_gpus)

    assert launch.num_ranks(asked) == expected


def test_ranks_of_a_remote_stage_leave_logs_on_this_machine_if_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def start_remotely(orders: str) -> None:
        launch.launch(
            [orders],
            count=1,
            work="memory://run/work",
            module="toy_rank",
            environment=environment(),
        )

    start_remotely("0=say:hello")
    assert list(tmp_path.iterdir()) == []

    with pytest.raises(StageError, match=r"its log is .*/openalign-ranks-.*/rank-0\.log"):
        start_remotely("0=say:hello,exit:2")
    (log,) = tmp_path.glob("openalign-ranks-*/rank-0.log")
    assert log.read_text() == "hello\n"


def test_a_rank_ends_when_the_starter_is_interrupted_before_its_messages_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []
    start_rank = launch._start

    def noted(*arguments: Any) -> Any:
        rank = start_rank(*arguments)
        started.append(rank.process)
        return rank

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "_start", noted)
    monkeypatch.setattr("threading.Thread.start", interrupted)

    with pytest.raises(KeyboardInterrupt):
        start(tmp_path, f"0=sleep:{tmp_path}")

    (process,) = started
    assert process.returncode is not None
