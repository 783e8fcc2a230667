"""Which hosts are waited for, told once nothing has ended for a while."""

from collections.abc import Sequence

import pytest

from openalign.ingest.web import quiet
from openalign.ingest.web.quiet import QUIET_SECONDS, Quiet


def test_hosts_are_told_once_nothing_has_ended_for_a_while_and_again_if_others_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(quiet.time, "monotonic", lambda: now)
    told: list[Sequence[str]] = []
    waits = Quiet(told.append)

    def turn(seconds: float, hosts: Sequence[str], *, has_ended: bool = False) -> None:
        nonlocal now
        while seconds > 1:  # no turn takes longer
            now, seconds = now + 1, seconds - 1
            waits.note(has_ended=False, hosts=lambda: hosts)
        now += seconds
        waits.note(has_ended=has_ended, hosts=lambda: hosts)

    turn(QUIET_SECONDS - 1, ["a"])
    turn(0.5, ["a"], has_ended=True)  # nothing had been told
    turn(QUIET_SECONDS - 1, ["a", "b"])
    assert told == []
    turn(1, ["a", "b"])
    turn(QUIET_SECONDS, ["a", "b"])  # as before
    assert told == [["a", "b"]]
    turn(1, ["b"])
    assert told == [["a", "b"]]
    turn(QUIET_SECONDS, ["b"])
    turn(1, ["b"], has_ended=True)
    turn(1, [], has_ended=True)

    assert told == [["a", "b"], ["b"], ()]


def test_time_in_which_nobody_looked_is_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller may work on an answer for long."""
    now = 100.0
    monkeypatch.setattr(quiet.time, "monotonic", lambda: now)
    told: list[Sequence[str]] = []
    waits = Quiet(told.append)

    now += 10 * QUIET_SECONDS
    waits.note(has_ended=False, hosts=lambda: ["a"])

    assert told == []
