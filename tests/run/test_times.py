"""The log of times: what a run's report and `status` say of it."""

import socket
from pathlib import Path

from openalign.files.names import RUN_LOG
from openalign.run.config import PipelineConfig
from openalign.run.contract import Run
from openalign.run.stages import STAGES
from openalign.run.times import StageTime, machine, note_time, times_taken


def run_in(root: str) -> Run:
    return Run(stages=STAGES, config=PipelineConfig(name="mine", root=root))


def test_the_last_time_of_each_stage_is_told(tmp_path: Path) -> None:
    run = run_in(str(tmp_path))

    note_time(run, "filter", now=1795741055.0, seconds=4.5, rows=(3, 2))
    note_time(run, "fetch", now=1795741078.0, seconds=21.0, rows=(2, 2))
    note_time(run, "filter", now=1795827478.0, seconds=5.5, rows=(3, 2))

    assert times_taken(run) == {
        "filter": StageTime(seconds=5.5, day="2026-11-28", machine=machine()),
        "fetch": StageTime(seconds=21.0, day="2026-11-27", machine=machine()),
    }


def test_a_later_round_is_not_the_stage(tmp_path: Path) -> None:
    run = run_in(str(tmp_path))

    note_time(run, "fetch", now=1795741078.0, seconds=259200.0, rows=(9, 5))
    note_time(run, "fetch", now=1795827478.0, seconds=12.0, rows=(9, 6), round_number=1)

    assert times_taken(run)["fetch"].seconds == 259200.0


def test_a_log_of_before_has_no_machine_and_perhaps_no_day(tmp_path: Path) -> None:
    (tmp_path / RUN_LOG).write_text('{"stage": "fetch", "seconds": 2.0}\n{"stage": "fil')

    assert times_taken(run_in(str(tmp_path))) == {
        "fetch": StageTime(seconds=2.0, day="", machine="")
    }


def test_a_remote_root_has_no_log() -> None:
    run = run_in("memory://times")

    note_time(run, "filter", now=1.0, seconds=4.5, rows=(3, 2))

    assert times_taken(run) == {}


def test_a_machine_is_described_without_its_name() -> None:
    said = machine()

    assert " core" in said
    assert "Python 3." in said
    assert socket.gethostname() not in said
