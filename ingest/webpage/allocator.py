"""Memory between one page and the next."""

import ctypes
from functools import cache

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 64 * 2**20
_LARGEST_PIECE_BYTES = 32 * 2**20  # glibc takes no more


@cache
def keep_freed_memory() -> None:
    """Let this process keep what a page frees, for the next page, up to 64 MiB.

    By itself glibc gives it back to the system and asks for it again, page by page, which takes a
    quarter of the time of reading one. Other C libraries have no such setting, and are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_PIECE_BYTES)
