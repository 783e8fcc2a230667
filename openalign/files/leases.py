"""Leases: which run alone may publish in a folder, whatever machine it is on.

A lease is a small file beside what it guards, numbered by its token: `00000003.json`. Whoever
creates the next number holds the lease, and the store lets one of several creators win. The holder
shows that it is alive by writing its own file anew (`beat`). Another run may take the lease once it
has seen no beat for a while, by its own clock: clocks of two machines are never compared.

A holder that was away (paused, cut off) finds the next token when it comes back, and publishes no
more. The newest file stays when its holder ends, so tokens only grow.
"""

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from openalign.errors import StageError
from openalign.files import shared_folder, storage
from openalign.telemetry import say

Now = Callable[[], float]
Sleep = Callable[[float], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasePace:
    """How long a holder and those who wait for it take, in seconds."""

    expiry_seconds: float = 60.0
    """A lease whose holder gives no sign of life for so long may be taken."""

    beat_seconds: float = 15.0
    """Between two signs of life: several are missed before a lease can be taken."""

    poll_seconds: float = 1.0
    """Between two looks at another's lease."""

    settle_seconds: float = 2.0
    """Between creating a lease and reading it back. A store whose driver cannot create a file only
    where there is none lets two creators write; the later one stays."""


PACE = LeasePace()


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lease, as its file says."""

    token: int
    holder: str
    """A name that no other holder has."""

    machine: str
    """Of the holder: a name under which its processes' numbers mean the same."""

    host: str
    process: int
    process_began: str
    """In clock ticks since the machine began: numbers of processes are used again."""

    since: str = "?"
    """In UTC, for people. Nothing is concluded from it."""

    beat: int = 0
    released: bool = False

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.since}"


_LEASE = msgspec.json.Decoder(Lease)
_UNREADABLE = ""
"""The holder of a lease that cannot be read."""


@dataclass(frozen=True, slots=True)
class Fence:
    """What lets a run publish as long as its lease is the newest one."""

    url: str
    """Of the folder of leases."""

    guarded: str
    """Where the holder publishes."""

    own: Lease

    @property
    def name(self) -> str:
        """What nobody else can give to files of theirs: the token and a part of the holder."""
        return f"{self.own.token:08d}-{self.own.holder[:8]}"

    def check(self) -> None:
        """See that the lease is still held.

        Raises:
            StageError: another run has taken it.
        """
        # In this order: once the next one is there, the own one no longer counts.
        other = _read(self.url, self.own.token + 1)
        if other is None:
            other = _read(self.url, self.own.token)
            if other is not None and other.holder in (self.own.holder, _UNREADABLE):
                return  # some stores show it half-written while the holder writes it anew
        by = "its lease is gone" if other is None else f"{other} has taken it over"
        raise StageError(
            f"this run no longer holds {self.guarded} ({by}), so it stops and publishes nothing "
            "more",
            hint="it gave no sign of life for a while; the same command goes on from the newest "
            "checkpoint once the other run has ended",
        )


@contextmanager
def leased(
    url: str, guarded: str, *, on_loss: Callable[[], None], pace: LeasePace | None = None
) -> Generator[Fence]:
    """Hold the lease whose files lie in the folder `url` while the block runs.

    A thread gives the signs of life, and calls `on_loss` once if another run has taken the lease.

    Raises:
        StageError: another run is at work on what is guarded.
    """
    pace = pace or PACE
    fence = Fence(url, guarded, take(url, guarded, pace=pace))
    ended = threading.Event()
    args = (fence, ended, on_loss, pace.beat_seconds)
    thread = threading.Thread(target=_beat_until, args=args, name="lease", daemon=True)
    thread.start()
    try:
        yield fence
    finally:
        ended.set()
        thread.join()
        with suppress(Exception):  # lost, or out of reach: then it runs out by itself
            fence.check()
            _write(url, msgspec.structs.replace(fence.own, released=True))


def holder_of(url: str) -> str:
    """Return who holds a lease, in words; empty where it is free, as far as one look tells.

    A holder on another machine that was killed cannot be told from one that is alive.
    """
    newest = _newest(url)
    is_free = newest is None or newest.released or _has_died(newest, _this_process())
    return "" if is_free else str(newest)


def take(
    url: str,
    guarded: str,
    *,
    pace: LeasePace,
    now: Now = time.monotonic,
    sleep: Sleep = time.sleep,
    me: Lease | None = None,
) -> Lease:
    """Wait until the lease is free and take it.

    It is free where there is none, where its holder has ended, and where the holder gives no sign
    of life for `pace.expiry_seconds`.

    Raises:
        StageError: its holder is alive.
    """
    me = me or _this_process()
    seen: Lease | None = None
    seen_at = 0.0
    while True:
        newest = _newest(url)
        if newest is None or newest.released or _has_died(newest, me):
            taken = _create(url, newest, me, pace, sleep)
        elif seen is None or newest.token != seen.token:  # somebody else has just taken it, or
            taken, seen, seen_at = None, newest, now()  # has held it for long
            _say_wait(url, guarded, newest, pace)
        elif newest.beat != seen.beat:
            raise StageError(
                f"another run is at work on {guarded}: {newest}",
                hint="wait until it has ended, or stop it; the same command goes on from there",
            )
        else:
            expired = now() - seen_at >= pace.expiry_seconds
            taken = _create(url, newest, me, pace, sleep) if expired else None
        if taken is not None:
            return taken
        sleep(pace.poll_seconds)


def _say_wait(url: str, guarded: str, holder: Lease, pace: LeasePace) -> None:
    say(
        f"{guarded} is held by {holder}. It is taken over if no sign of life comes from there for "
        f"{pace.expiry_seconds:.0f} s; at once if you remove {_url(url, holder.token)}"
    )


def _create(
    url: str, newest: Lease | None, me: Lease, pace: LeasePace, sleep: Sleep
) -> Lease | None:
    """Create the lease behind the newest one; return None where another run was faster."""
    token = 1 if newest is None else newest.token + 1
    own = msgspec.structs.replace(me, token=token)
    if not shared_folder.create(_url(url, token), msgspec.json.encode(own)):
        return None
    if not storage.is_local(url):
        sleep(pace.settle_seconds)
    there = _read(url, token)
    if there is None or there.holder != me.holder:
        return None
    if newest is not None and not newest.released:  # so that nobody waits for it again
        _write(url, msgspec.structs.replace(newest, released=True))
    return own


def _beat_until(
    fence: Fence, ended: threading.Event, on_loss: Callable[[], None], seconds: float
) -> None:
    beat = 0
    while not ended.wait(seconds):
        beat += 1
        try:
            fence.check()
            _write(fence.url, msgspec.structs.replace(fence.own, beat=beat))
        except StageError as error:
            say(str(error))
            on_loss()
            return
        except Exception as error:  # noqa: BLE001  # every driver has errors of its own
            say(f"the lease of {fence.guarded} cannot be renewed, and is tried again: {error!r}")


def _newest(url: str) -> Lease | None:
    names = [name.removesuffix(".json") for name in shared_folder.list_now(url)]
    tokens = sorted((int(name) for name in names if name.isdecimal()), reverse=True)
    return next((found for token in tokens if (found := _read(url, token))), None)


def _url(url: str, token: int) -> str:
    return storage.join(url, f"{token:08d}.json")


def _read(url: str, token: int) -> Lease | None:
    content = shared_folder.read_if_there(_url(url, token))
    try:
        return None if content is None else _LEASE.decode(content)
    except msgspec.DecodeError:  # half-written: the next look sees more
        return Lease(
            token=token, holder=_UNREADABLE, machine="", host="?", process=0, process_began=""
        )


def _write(url: str, lease: Lease) -> None:
    storage.write_bytes(_url(url, lease.token), msgspec.json.encode(lease))


def _this_process() -> Lease:
    return Lease(
        token=0,
        holder=uuid4().hex,
        machine=_machine(),
        host=os.uname().nodename,
        process=os.getpid(),
        process_began=_began(os.getpid()) or "",
        since=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    )


def _machine() -> str:
    """Return a name that two processes share only where each can look the other up by number."""
    numbers = Path("/proc/self/ns/pid").stat().st_ino  # containers have numbers of their own
    return f"{os.uname().nodename}/{boot_id()}/{numbers}"


def boot_id() -> str:
    """Return what no other machine has, nor this one once it is started again."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _has_died(holder: Lease, me: Lease) -> bool:
    """Tell whether a holder on this machine is gone; of another machine nobody can tell."""
    return holder.machine == me.machine and _began(holder.process) != holder.process_began


def _began(process: int) -> str | None:
    """Return when a process began, or None where there is none that still runs."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    state, *others = stat.rpartition(")")[2].split()  # the name before it may have spaces
    return None if state in "ZX" else others[18]
