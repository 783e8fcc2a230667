"""Texts as candidates have them, and lists of words."""


def collapse(text: str) -> str:
    """Return a text with each run of white space as one space, and none at its ends."""
    return " ".join(text.replace("\0", " ").split())


def names(words: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(words.split())
