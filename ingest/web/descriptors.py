"""How many connections the open-file limit of this process allows."""

import resource
from pathlib import Path

_PER_CONNECTION = 4
"""A connection needs one; while it opens, so do the look-up of its name and two copies."""

_RESERVE = 48
"""For files, for the runner, and for the check that sockets can be opened at all."""


def connections_that_fit(wanted: int) -> int:
    """Return how many of the wanted connections this process can open; at least one.

    The soft limit on open files is raised as far as they need it and the hard limit allows.
    """
    num_open = sum(1 for _ in Path("/dev/fd").iterdir())
    needed = num_open + _RESERVE + wanted * _PER_CONNECTION
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        soft = _raised(soft, raised, hard)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    return max(1, min(wanted, (soft - num_open - _RESERVE) // _PER_CONNECTION))


def _raised(soft: int, limit: int, hard: int) -> int:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    except (OSError, ValueError):  # systems have limits beyond the hard one
        return soft
    return limit
