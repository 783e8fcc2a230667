"""What becomes of memory that this process frees."""

import ctypes

_KEEP_ABOVE = -1
_OWN_MAPPING_FROM = -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` (mallopt(3))."""

_MOST = 2**31 - 1
_OWN_MAPPING_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Keep what tensors on the CPU free for the tensors to come; tell whether that can be had.

    By default glibc gives a large tensor back to the system when it is freed, and the next one
    begins with pages that the system has to clear: B3 at 289 px embeds at 0.6 of its rate
    (`benchmarks/freed_memory.py`). The process keeps the most that it had at any time. The setting
    holds for all of the process and changes no value. Other C libraries are left as they are.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return False
    return bool(
        set_option(_OWN_MAPPING_FROM, _OWN_MAPPING_BYTES) and set_option(_KEEP_ABOVE, _MOST)
    )
