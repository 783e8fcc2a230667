"""What asks a run to stop, and when its time is up."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.distributed.launcher.api import LaunchConfig

from openalign.train.stopping import STOPPED, Stopped, Stopping, stop_requests


def clock_of(*seconds: float) -> Iterator[float]:
    return iter(seconds)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_asks_for_a_stop_and_no_more_once_the_steps_are_over(
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    with stop_requests(Stopping(), gone=0.0) as requests:
        assert not requests.are_there()
        os.kill(os.getpid(), number)
        assert requests.are_there()
        assert requests.are_there()

    assert signal.getsignal(number) is before


def test_the_last_step_ends_before_the_time_that_saving_takes() -> None:
    """Ten minutes less two: until second 480. Steps take 100 s, and one 150 s."""
    rule = Stopping(time_limit_minutes=10, lead_seconds=120)
    ticks = clock_of(1050, 1100, 1200, 1350)
    with stop_requests(rule, gone=50, clock=lambda: next(ticks)) as requests:
        assert not requests.are_there()  # at 100: 380 s are left
        assert not requests.are_there()  # at 200, after a step of 100
        assert requests.are_there()  # at 350: another step of 150 would end at 500


def test_without_a_limit_no_clock_is_asked() -> None:
    ticks = clock_of()
    with stop_requests(Stopping(), gone=0.0, clock=lambda: next(ticks)) as requests:
        assert not requests.are_there()


def test_a_limit_that_saving_would_use_up_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lead_seconds must be below .* got 120.0 s and 2 min"):
        Stopping(time_limit_minutes=2)


def test_who_is_stopped_ends_as_a_shell_says_of_sigterm() -> None:
    assert Stopped(7).code == STOPPED == 128 + signal.SIGTERM


def test_the_page_says_how_long_torchrun_lets_ranks_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """It kills them by a limit of its own, whatever `train.stop.grace_seconds` is."""
    page = Path(__file__).parents[2] / "docs" / "resuming.md"
    told = re.search(r"after `--shutdown-timeout` \((\d+) s;\s+`(\w+)`", page.read_text())
    assert told is not None
    config = LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=1)

    assert int(told[1]) == config.shutdown_timeout
    monkeypatch.setenv(told[2], "77")
    assert LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=1).shutdown_timeout == 77
