"""Which hosts a client waits for, told once nothing has ended for a while."""

import time
from collections.abc import Callable, Sequence

QUIET_SECONDS = 5.0
"""So long nothing has ended before hosts are named, and then again before they are named anew."""

_LONGEST_TURN_SECONDS = 2.0
"""Whoever asks less often than this has not looked at the network meanwhile."""

TellHosts = Callable[[Sequence[str]], None]
"""Is told the hosts that are waited for; none once something has ended again."""


def tell_nobody(_: Sequence[str]) -> None:
    """Tell nobody which hosts are waited for."""


class Quiet:
    """Notices that nothing ends."""

    def __init__(self, tell: TellHosts) -> None:
        self._tell = tell
        self._told: Sequence[str] = ()
        self._noted = time.monotonic()
        self._due = self._noted + QUIET_SECONDS

    def note(self, *, has_ended: bool, hosts: Callable[[], Sequence[str]]) -> None:
        """Note whether something has ended; `hosts` are asked for where they are to be told."""
        now = time.monotonic()
        if now - self._noted > _LONGEST_TURN_SECONDS:
            self._due = now + QUIET_SECONDS
        self._noted = now
        if not has_ended and now < self._due:
            return
        self._due = now + QUIET_SECONDS
        waited_for = () if has_ended else hosts()
        if waited_for != self._told:
            self._told = waited_for
            self._tell(waited_for)
