"""The WordPiece vocabulary, learned from the training text (ALIGN §4.1: 100k pieces)."""

from collections.abc import Iterable, Sequence

import polars as pl

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of
from openalign.train.data.word_pieces import learn_pieces
from openalign.train.data.words import SPECIAL_TOKENS, WordRules, count_words


def learn_vocabulary(counted: pl.DataFrame, *, size: int) -> list[str]:
    """Return at most `size` word pieces, the special ones first.

    `counted` has each distinct word and its count, as `count_words` returns them, in any order.
    """
    words, counts = counted["word"].to_list(), counted["count"].to_list()
    return learn_pieces(words, counts, size=size, first=SPECIAL_TOKENS)


def vocabulary_of(texts: Iterable[str], *, size: int, rules: WordRules) -> list[str]:
    """Return the vocabulary of a few texts: a function of the set of them.

    `openalign.train.vocabulary_job` does the same for any number of texts.
    """
    distinct = pl.Series(texts, dtype=pl.String).unique()
    return learn_vocabulary(count_words(distinct, rules), size=size)


def save_vocabulary(url: str, vocabulary: Sequence[str]) -> storage.Written:
    """Write a vocabulary, a piece a line."""
    return storage.write_text(url, "".join(f"{piece}\n" for piece in vocabulary))


def has_vocabulary(url: str) -> bool:
    """Tell whether a vocabulary lies there; an empty file is none."""
    return storage.exists(url) and storage.size_of(url) > 0


def load_vocabulary(url: str) -> list[str]:
    """Read a vocabulary.

    Raises:
        InputError: it is empty.
    """
    pieces = storage.read_text(url).split("\n")[:-1]
    if not pieces:
        hint = "remove it and run `openalign train` again: it is learned from the same texts"
        raise InputError(f"{url} holds no word piece", hint=hint)
    return pieces


def vocabulary_hash(vocabulary: Sequence[str]) -> str:
    """Return the hash of the word pieces in the order of their ids."""
    return fingerprint_of(list(vocabulary))
