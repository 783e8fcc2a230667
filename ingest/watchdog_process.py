"""The process behind `watchdog`: it reads what its parent works on, and ends it where that hangs.

Run as a script with the limit in seconds; it imports nothing of this package, so that it is there
at once. Each line of its input is the number of a thread and the name of its work, empty at the end
of the work.
"""

import os
import select
import signal
import sys
import time


def watch(limit_seconds: float) -> None:
    """Read lines until the input ends; kill the parent where a piece of work reaches the limit."""
    began: dict[bytes, tuple[float, bytes]] = {}
    rest = b""
    while True:
        waits = [at + limit_seconds - time.monotonic() for at, _ in began.values()]
        pause = max(0.0, min(waits)) if waits else None
        ready, _, _ = select.select([0], [], [], pause)
        if not ready:
            _end_parent(*min(began.values()), limit_seconds)
            return
        data = os.read(0, 65536)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            thread, _, name = line.partition(b" ")
            began.pop(thread, None)
            if name:
                began[thread] = (time.monotonic(), name)


def _end_parent(at: float, name: bytes, limit_seconds: float) -> None:
    spent = time.monotonic() - at
    if spent < limit_seconds:
        return
    shown = name.decode(errors="replace")
    sys.stderr.write(
        f"error: reading {shown} has taken more than {limit_seconds:g} seconds; the job ends, and "
        "nothing of the page is written\n\nhint: this is a mistake of the reader; leave the page's "
        "host out, and report its address\n"
    )
    sys.stderr.flush()
    os.kill(os.getppid(), signal.SIGKILL)


if __name__ == "__main__":
    watch(float(sys.argv[1]))
