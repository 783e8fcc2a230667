"""Texts as candidates have them, their kinds, and lists of words."""

from typing import Literal

TextKind = Literal[
    "alt", "title", "aria_label", "figcaption", "area", "og_image", "twitter_image", "json_ld"
]
"""What a page can call an image by; docs/harvest.md has them all."""


def collapse(text: str) -> str:
    """Return a text with each run of white space as one space, and none at its ends."""
    return " ".join(text.replace("\0", " ").split())


def names(words: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(words.split())
