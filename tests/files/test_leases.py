"""Leases: one holder at a time, across machines, whatever is paused or killed."""

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_SECONDS, wait_for

from openalign.errors import StageError
from openalign.files import leases, storage
from openalign.files.leases import Lease, LeasePace, leased, take

PACE = LeasePace(expiry_seconds=60, beat_seconds=15, poll_seconds=1, settle_seconds=2)


@pytest.fixture(params=["local", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"


@dataclass
class Clock:
    """A clock that moves when somebody sleeps; what is due happens on the way."""

    seconds: float = 0.0
    due: list[tuple[float, Any]] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        for event in [event for event in self.due if event[0] <= self.seconds]:
            self.due.remove(event)
            event[1]()


def process_on(machine: str, number: int = 7) -> Lease:
    return Lease(
        token=0,
        holder=f"{machine}-{number}",
        machine=machine,
        host=machine,
        process=number,
        process_began="1",
        since="2021-02-11 09:00:00 UTC",
    )


def take_by(url: str, machine: str, clock: Clock | None = None) -> leases.Fence:
    clock = clock or Clock()
    me = process_on(machine)
    own = take(url, "the run", pace=PACE, now=clock.now, sleep=clock.sleep, me=me)
    return leases.Fence(url, "the run", own)


def beat(fence: leases.Fence, number: int) -> None:
    path = storage.join(fence.url, f"{fence.own.token:08d}.json")
    written = leases.msgspec.structs.replace(fence.own, beat=number)
    storage.write_bytes(path, leases.msgspec.json.encode(written))


def test_the_first_lease_is_taken_at_once(url: str) -> None:
    clock = Clock()

    fence = take_by(url, "a", clock)

    assert fence.own.token == 1
    assert fence.name == "00000001-a-7"
    assert clock.seconds == (2 if url.startswith("memory") else 0)  # the store may settle
    fence.check()


def test_a_holder_that_shows_no_life_loses_it_after_the_expiry(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    first, clock = take_by(url, "a"), Clock()

    second = take_by(url, "b", clock)

    assert second.own.token == 2
    assert 60 <= clock.seconds <= 63
    second.check()
    said = "the run is held by process 7 on a, since 2021-02-11 09:00:00 UTC. It is taken over if"
    assert said in capfd.readouterr().err
    with pytest.raises(
        StageError, match=r"no longer holds the run .process 7 on b, since .* has ta"
    ):
        first.check()
    with pytest.raises(StageError, match="no longer holds"):  # for ever
        first.check()


def test_a_holder_that_shows_life_keeps_it(url: str) -> None:
    first = take_by(url, "a")
    clock = Clock(due=[(59, lambda: beat(first, 4))])

    with pytest.raises(StageError, match="another run is at work on the run: process 7 on a, sin"):
        take_by(url, "b", clock)

    assert clock.seconds == 59
    first.check()


def test_a_beat_just_before_the_expiry_is_seen(url: str) -> None:
    first = take_by(url, "a")
    clock = Clock(due=[(60, lambda: beat(first, 4))])

    with pytest.raises(StageError, match="is at work"):
        take_by(url, "b", clock)


def test_a_lease_that_was_given_back_is_free_at_once(url: str) -> None:
    with leased(url, "the run", on_loss=pytest.fail, pace=LeasePace(settle_seconds=0)) as first:
        assert first.own.token == 1
    clock = Clock()

    assert take_by(url, "b", clock).own.token == 2
    assert clock.seconds <= 2


def test_a_lease_whose_file_was_removed_is_free_at_once(url: str) -> None:
    """What the waiting run tells to do if the other machine is gone. Tokens go on all the same."""
    first = take_by(url, "a")
    second = take_by(url, "b")
    storage.remove(storage.join(url, "00000002.json"))
    clock = Clock()

    third = take_by(url, "c", clock)

    assert (third.own.token, clock.seconds <= 2) == (2, True)
    third.check()
    for lost in (first, second):
        with pytest.raises(StageError, match="no longer holds"):
            lost.check()


def test_a_file_that_is_no_lease_is_waited_for_and_passed(url: str) -> None:
    storage.write_bytes(storage.join(url, "00000005.json"), b'{"token": 5, "hol')
    clock = Clock()

    assert take_by(url, "b", clock).own.token == 6
    assert clock.seconds >= 60


def test_of_two_who_are_written_over_the_later_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that knows no condition: both write, and read back what has become of it."""
    url = "memory://no-conditions/leases"

    def write_anyway(target: str, content: bytes) -> bool:
        storage.write_bytes(target, content)
        return True

    monkeypatch.setattr(leases.shared_folder, "create", write_anyway)
    other = leases.msgspec.structs.replace(process_on("b"), token=1)
    later = leases.msgspec.json.encode(other)
    clock = Clock(due=[(1, lambda: storage.write_bytes(f"{url}/00000001.json", later))])

    first = take_by(url, "a", clock)

    assert first.own.token == 2  # b wrote second, and was waited for until it expired
    assert clock.seconds >= 60


HOLDER = """
import sys, time
from pathlib import Path
from openalign.errors import StageError
from openalign.files import leases

url, out, machine = sys.argv[1:]
leases._machine = lambda: machine
leases.PACE = leases.LeasePace(expiry_seconds=1.5, beat_seconds=0.2, poll_seconds=0.1)
lost = []
with leases.leased(url, "the run", on_loss=lambda: lost.append(1)) as fence:
    try:
        while True:
            fence.check()
            with Path(out).open("a") as sink:
                sink.write(f"{fence.own.token}\\n")
            time.sleep(0.02)
    except StageError as error:
        print(error, flush=True)
        while not lost:
            time.sleep(0.02)
        print("told", flush=True)
"""


def start_holder(url: Path, out: Path, machine: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(url), str(out), machine]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def tokens(out: Path) -> list[int]:
    return [int(line) for line in out.read_text().split()] if out.exists() else []


def wait_until_published(out: Path, token: int) -> None:
    wait_for(lambda: tokens(out)[-1:] == [token], f"token {token}")


def test_two_processes_take_turns_and_none_publishes_after_its_turn(tmp_path: Path) -> None:
    """One is paused beyond its lease, continued, and told; then the other one is killed."""
    url, out = tmp_path / "leases", tmp_path / "published"
    first = start_holder(url, out, "a")
    wait_until_published(out, 1)
    os.kill(first.pid, signal.SIGSTOP)
    second = start_holder(url, out, "b")
    wait_until_published(out, 2)
    os.kill(first.pid, signal.SIGCONT)
    said, _ = first.communicate(timeout=PATIENCE_SECONDS)
    assert f"process {second.pid} on {os.uname().nodename}" in said
    assert "publishes nothing more" in said
    assert said.endswith("told\n")

    third = start_holder(url, out, "a")  # the other way round
    os.kill(second.pid, signal.SIGKILL)
    wait_until_published(out, 3)
    third.kill()
    fourth = start_holder(url, out, "a")  # on its own machine nobody waits for who has died
    wait_until_published(out, 4)
    fourth.kill()

    _, waited = third.communicate()
    assert f"is held by process {second.pid}" in waited
    _, waited = fourth.communicate()
    assert waited == ""
    second.communicate()
    assert tokens(out) == sorted(tokens(out))
    assert set(tokens(out)) == {1, 2, 3, 4}
