"""What becomes of memory that this process frees."""

import ctypes

_GIVEN_BACK_FROM = -1
_OWN_MAPPING_FROM = -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` (mallopt(3))."""

_NEVER = -1
_OWN_MAPPING_BYTES = (1 << 30, 32 << 20)
"""The second is the most that releases of before 2.35 take."""


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
    mapped = any(set_option(_OWN_MAPPING_FROM, size) for size in _OWN_MAPPING_BYTES)
    return bool(set_option(_GIVEN_BACK_FROM, _NEVER)) and mapped
