"""Trials that tests run in other processes: functions of a module, so that they can be pickled."""

import os
import time
from pathlib import Path

import msgspec


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial found."""

    score: int


def square(number: int, ran: Path) -> Outcome:
    """Return a square, and leave a mark of each time that this was run."""
    with (ran / str(number)).open("a") as mark:
        mark.write("x")
    return Outcome(score=number * number)


def die(_: int, ran: Path) -> Outcome:
    """End the process as a kill would."""
    del ran
    os._exit(9)


def hang(number: int, ran: Path) -> Outcome:
    """Tell which process this is, and then end with the one that started it or never."""
    (ran / f"pid-{number}").write_text(str(os.getpid()))
    time.sleep(250)
    return Outcome(score=number)
