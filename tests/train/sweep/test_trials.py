"""Sweeps that are killed, run again, and spread over processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest
from sweep_outcomes import Outcome, die, square

from openalign.train.sweep.ledger import Ledger
from openalign.train.sweep.trials import run_trials


def ledger_in(folder: Path, of: object = "sweep") -> Ledger[Outcome]:
    return Ledger(str(folder / "ledger"), of=of, record=Outcome)


def squares(numbers: Iterable[int], ran: Path) -> dict[str, Callable[[], Outcome]]:
    return {f"trial-{number}": partial(square, number, ran) for number in numbers}


def times_run(ran: Path) -> dict[str, int]:
    return {mark.name: len(mark.read_text()) for mark in sorted(ran.iterdir())}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    (tmp_path / "ran").mkdir()
    return tmp_path / "ran"


def test_outcomes_come_in_the_order_of_the_trials(tmp_path: Path, ran: Path) -> None:
    run_trials(squares([2], ran), ledger_in(tmp_path))

    found = run_trials(squares([3, 1, 2], ran), ledger_in(tmp_path))

    assert [(name, outcome.score) for name, outcome in found.items()] == [
        ("trial-3", 9),
        ("trial-1", 1),
        ("trial-2", 4),
    ]


def test_a_trial_that_has_ended_is_not_run_again(tmp_path: Path, ran: Path) -> None:
    run_trials(squares([1, 2], ran), ledger_in(tmp_path))

    found = run_trials(squares([1, 2, 3], ran), ledger_in(tmp_path))

    assert times_run(ran) == {"1": 1, "2": 1, "3": 1}
    assert [outcome.score for outcome in found.values()] == [1, 4, 9]


def test_another_sweep_finds_nothing_of_this_one(tmp_path: Path, ran: Path) -> None:
    run_trials(squares([1], ran), ledger_in(tmp_path, of=["data", 1]))
    run_trials(squares([1], ran), ledger_in(tmp_path, of=["data", 2]))

    assert times_run(ran) == {"1": 2}


def test_a_damaged_outcome_is_made_again(tmp_path: Path, ran: Path) -> None:
    run_trials(squares([1, 2, 3, 4], ran), ledger_in(tmp_path))
    kept = sorted((tmp_path / "ledger").rglob("trial-*.json"))
    kept[0].write_bytes(b'{"score"')
    kept[1].write_bytes(b'{"other": 3}')
    kept[2].write_bytes(kept[2].read_bytes().replace(b'"score":9', b'"score":8'))
    kept[3].write_bytes(kept[3].read_bytes().replace(b"sha256", b"sha25\xff"))

    found = run_trials(squares([1, 2, 3, 4], ran), ledger_in(tmp_path))

    assert times_run(ran) == {"1": 2, "2": 2, "3": 2, "4": 2}
    assert [outcome.score for outcome in found.values()] == [1, 4, 9, 16]


def test_nothing_is_kept_where_there_is_no_folder(ran: Path) -> None:
    ledger = Ledger("", of="sweep", record=Outcome)

    assert run_trials(squares([2], ran), ledger)["trial-2"].score == 4
    assert ledger.finished() == {}


@pytest.mark.distributed
def test_processes_give_the_bytes_of_one(tmp_path: Path, ran: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"

    alone = run_trials(squares(range(5), ran), ledger_in(one))
    together = run_trials(squares(range(5), ran), ledger_in(two), num_processes=2)

    assert list(together.items()) == list(alone.items())
    assert bytes_of(two) == bytes_of(one)
    assert len(bytes_of(one)) == 5


@pytest.mark.distributed
def test_a_killed_worker_loses_no_trial_that_had_ended(tmp_path: Path, ran: Path) -> None:
    trials = squares([1], ran) | {"dies": partial(die, 0, ran), "dies too": partial(die, 1, ran)}
    ledger = ledger_in(tmp_path)
    run_trials(squares([1], ran), ledger)

    with pytest.raises(BrokenProcessPool):
        run_trials(trials, ledger, num_processes=2)

    healed = squares([1], ran) | {"dies": partial(square, 2, ran)}
    assert [o.score for o in run_trials(healed, ledger_in(tmp_path)).values()] == [1, 4]
    assert times_run(ran) == {"1": 1, "2": 1}


_SWEEP = """
import sys
from functools import partial
from pathlib import Path
from sweep_outcomes import Outcome, hang
from openalign.train.sweep.ledger import Ledger
from openalign.train.sweep.trials import run_trials

if __name__ == "__main__":
    trials = {str(n): partial(hang, n, Path(sys.argv[1])) for n in range(2)}
    run_trials(trials, Ledger("", of="", record=Outcome), num_processes=2)
"""


@pytest.mark.distributed
def test_workers_end_with_the_process_that_started_them(tmp_path: Path, ran: Path) -> None:
    script = tmp_path / "sweep.py"
    script.write_text(_SWEEP)
    paths = [*sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    parent = subprocess.Popen([sys.executable, str(script), str(ran)], env=environment)
    workers = [int(_when_written(ran / f"pid-{number}")) for number in range(2)]

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    _until(lambda: not any(map(_is_running, workers)))
    assert not any(map(_is_running, workers))


def _when_written(file: Path) -> str:
    _until(lambda: file.exists() and bool(file.read_text()))
    return file.read_text()


def _is_running(process: int) -> bool:
    """Tell whether a process runs; one that ended and is not yet reaped does not."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def _until(is_true: Callable[[], bool]) -> None:
    """Wait; the test's own limit is the only one."""
    while not is_true():
        time.sleep(0.05)
