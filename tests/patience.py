"""How long tests wait for what must happen. A busy machine may be ten times as slow as an idle one.

No test asserts that something is fast: a bound only ends what hangs.
"""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 900


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen in {PATIENCE_SECONDS} s"
        time.sleep(0.05)
