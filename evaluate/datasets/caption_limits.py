"""How many captions of an image a reader keeps: a number, or all of them."""

import sys
from typing import Literal

from openalign.settings.limits import positive

MaxCaptions = int | Literal["all"]


def check_max_captions(max_captions: MaxCaptions) -> None:
    """Refuse a number of 0 or less."""
    if max_captions != "all":
        positive(max_captions=max_captions)


def most_captions(max_captions: MaxCaptions) -> int:
    """Return the number of captions that are kept at most."""
    return sys.maxsize if max_captions == "all" else max_captions
