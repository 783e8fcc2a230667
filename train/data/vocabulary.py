"""The WordPiece vocabulary, learned from the training text (ALIGN §4.1: 100k pieces).

Rank 0 learns and saves it; every rank reads it. The library numbers the pieces inside words in the
order of a hash map and breaks ties between equally frequent merges by those numbers, so two runs
on one text differ by a few pieces. This module numbers every piece that may start a merge before
the library does, and no tie depends on chance.
"""

from collections.abc import Iterable, Iterator, Sequence

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer

from openalign.files import storage
from openalign.train.data.preprocess import SPECIAL_TOKENS, normalizer

_INSIDE = "##"
"""Marks a piece that does not start a word."""

_MIN_FREQUENCY = 2
"""Two pieces are joined if they stand together at least this often."""


def learn_vocabulary(texts: Iterable[str], *, size: int, lowercase: bool) -> list[str]:
    """Return at most `size` word pieces, the special ones first.

    The result is a function of the set of texts: their order and their repeats do not matter.
    """
    distinct = sorted(set(texts))
    alphabet = sorted(_letters(distinct, lowercase=lowercase))
    fixed = [*SPECIAL_TOKENS, *alphabet, *(_INSIDE + letter for letter in alphabet)][:size]
    trainer = WordPieceTrainer(
        vocab_size=size,
        min_frequency=_MIN_FREQUENCY,
        special_tokens=fixed,
        continuing_subword_prefix=_INSIDE,
        show_progress=False,
    )
    tokenizer = _untrained(lowercase=lowercase)
    tokenizer.train_from_iterator(distinct, trainer, length=len(distinct))
    numbers = tokenizer.get_vocab(with_added_tokens=False)
    return sorted(numbers, key=lambda piece: numbers[piece])[:size]


def save_vocabulary(url: str, vocabulary: Sequence[str]) -> storage.Written:
    """Write a vocabulary, a piece a line."""
    return storage.write_text(url, "".join(f"{piece}\n" for piece in vocabulary))


def load_vocabulary(url: str) -> list[str]:
    """Read a vocabulary."""
    return storage.read_text(url).split("\n")[:-1]


def _letters(texts: Iterable[str], *, lowercase: bool) -> set[str]:
    return {letter for word in _words(texts, lowercase=lowercase) for letter in word}


def _words(texts: Iterable[str], *, lowercase: bool) -> Iterator[str]:
    clean, cut = normalizer(lowercase=lowercase), BertPreTokenizer()
    for text in texts:
        for word, _ in cut.pre_tokenize_str(clean.normalize_str(text)):
            yield word


def _untrained(*, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece({}, unk_token="[UNK]"))  # noqa: S106  # no secret
    tokenizer.normalizer = normalizer(lowercase=lowercase)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    return tokenizer
