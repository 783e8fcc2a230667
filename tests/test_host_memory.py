"""Memory that is freed, and taken again."""

import platform
import subprocess
import sys

import pytest

ROUNDS = """
import resource
import numpy as np
from openalign.host_memory import keep_freed_memory

{first}

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def use():
    held = [np.ones(2 << 20, np.uint8) for _ in range(16)]

use()
before = faults()
for _ in range(10):
    use()
print(faults() - before)
"""


def num_faults(*, kept: bool) -> int:
    """Return the pages that ten times 32 MiB were given anew, 8,192 each time at most."""
    first = "assert keep_freed_memory()" if kept else ""
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS.format(first=first)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what glibc does")
def test_freed_memory_is_taken_again() -> None:
    assert num_faults(kept=False) > 40_000
    assert num_faults(kept=True) < 1_000
