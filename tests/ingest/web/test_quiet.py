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
