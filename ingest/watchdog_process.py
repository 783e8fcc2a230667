"""The process behind `watchdog`: it looks at its parent's work, and ends it where that hangs.

Run as a script with the limit in seconds and the number of a file that both processes map; it
imports nothing of this package, so that it is there at once. It ends with its input, which is its
parent's end of a pipe.
"""

import mmap
import os
import select
import signal
import struct
import sys
import time

# As `watchdog` lays it out.
_SLOT_BYTES = 512
_HEAD = struct.Struct("<QQ")
_LOOKS_PER_LIMIT = 10


def watch(limit_seconds: float, memory: mmap.mmap) -> None:
    """Look at all slots from time to time; kill the parent where one holds its work too long."""
    since: dict[int, tuple[int, float]] = {}
    while not select.select([0], [], [], limit_seconds / _LOOKS_PER_LIMIT)[0]:
        now = time.monotonic()
        for place in range(0, len(memory), _SLOT_BYTES):
            count, length = _HEAD.unpack_from(memory, place)
            if count % 2 == 0:
                continue
            seen, began = since.get(place, (0, now))
            if seen != count:
                since[place] = (count, now)
            elif now - began >= limit_seconds:
                start = place + _HEAD.size
                _end_parent(memory[start : start + length], limit_seconds)
                return


def _end_parent(name: bytes, limit_seconds: float) -> None:
    shown = name.decode(errors="replace")
    sys.stderr.write(
        f"error: reading {shown} has taken more than {limit_seconds:g} seconds; the job ends, and "
        "nothing of the page is written\n\nhint: this is a mistake of the reader; leave the page's "
        "host out, and report its address\n"
    )
    sys.stderr.flush()
    os.kill(os.getppid(), signal.SIGKILL)


if __name__ == "__main__":
    watch(float(sys.argv[1]), mmap.mmap(int(sys.argv[2]), 0))
