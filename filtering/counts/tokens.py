r"""Alt-texts to words and their hashes, vectorized over a whole batch.

A text is normalized (NFKC, case folding, white space collapsed and trimmed) and cut into words:
maximal runs of Unicode word characters, which are the regular expression
`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+`, so underscores stay inside a word and
punctuation, emoji and soft hyphens part words. Nothing here is particular to a language (ALIGN §8).

Words are found as byte ranges in one UTF-8 buffer and never become Python objects. ASCII rows
skip NFKC, which cannot change them.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from openalign.files.hashing import hash64_expr

U64 = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

_WORD_BYTES = bytes(chr(b).isascii() and (chr(b).isalnum() or chr(b) == "_") for b in range(256))
# Lower case, and every white space character of ASCII (as `str.split` has it) as a blank.
_LOWER_BYTES = bytes(
    ord(" ") if b < 128 and chr(b).isspace() else (b + 32 if 65 <= b <= 90 else b)
    for b in range(256)
)
_KIND_BIT = np.uint64(1)
_MULTIPLIER_1 = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_2 = np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True, slots=True)
class HashedWords:
    """The words of a batch of texts, row after row."""

    unigrams: U64
    """One hash a word, even."""

    num_unigrams: Ints
    """Words of each row."""

    def bigrams(self) -> tuple[U64, Ints]:
        """Return the hashes (odd) of neighboring words of a row, and each one's row."""
        first = np.ones(max(len(self.unigrams) - 1, 0), bool)
        last_of_row = np.cumsum(self.num_unigrams)[:-1] - 1
        first[last_of_row[(last_of_row >= 0) & (last_of_row < len(first))]] = False
        return mix_pairs(self.unigrams[:-1], self.unigrams[1:])[first], self.rows()[:-1][first]

    def rows(self) -> Ints:
        """Return each word's row."""
        return np.repeat(np.arange(len(self.num_unigrams)), self.num_unigrams)


def normalize_text(text: str) -> str:
    """Return a text in its one spelling: NFKC, case folded, white space collapsed and trimmed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def normalize(texts: pa.Array) -> pa.Array:
    """Return what `normalize_text` does, for a column of strings; null becomes the empty text."""
    column = pc.fill_null(texts.cast(pa.large_string()), "")  # pyright: ignore[reportAttributeAccessIssue]
    offsets, data = _offsets_and_bytes(column)
    lowered = np.frombuffer(data.tobytes().translate(_LOWER_BYTES), np.uint8)
    result = _large_strings(offsets, lowered)
    by_hand = _rows_to_mend(offsets, lowered)
    if not by_hand.any():
        return result
    mask = pa.array(by_hand)
    mended = [normalize_text(text) for text in column.filter(mask).to_pylist()]
    return pc.replace_with_mask(result, mask, pa.array(mended, pa.large_string()))  # pyright: ignore[reportAttributeAccessIssue]


def hash_words(normalized: pa.Array) -> HashedWords:
    """Cut normalized texts into words and hash them."""
    offsets, data = _offsets_and_bytes(normalized)
    word = np.frombuffer(data.tobytes().translate(_WORD_BYTES), bool)
    if data.size and data.max() >= 0x80:
        word = word | _beyond_ascii(data)
    starts, ends = _runs(word, offsets)
    lengths = np.concatenate(([0], np.cumsum(ends - starts)))
    hashes = hash_strings(_large_strings(lengths, data[word]))
    num_unigrams = np.diff(np.searchsorted(starts, offsets))
    return HashedWords(hashes & ~_KIND_BIT, num_unigrams)


def mix_pairs(left: U64, right: U64) -> U64:
    """Return the hashes of bigrams, in word order; odd, where unigrams are even.

    The left hash goes through a bijection of its own before the sum. So neither order nor
    repetition (`a b`, `b a`, `a a`) makes pairs collide more often than chance does.
    """
    mixed = left * _MULTIPLIER_1
    mixed ^= mixed >> np.uint64(29)
    mixed += right
    mixed *= _MULTIPLIER_2
    mixed ^= mixed >> np.uint64(32)
    return mixed | _KIND_BIT


def hash_strings(strings: pa.Array | pl.Series) -> U64:
    """Return the pinned 64-bit hash of each string."""
    series = strings if isinstance(strings, pl.Series) else pl.Series(strings, dtype=pl.String)
    return series.to_frame("text").select(hash64_expr("text")).to_series().to_numpy()


def _large_strings(offsets: Ints, data: Bytes) -> pa.Array:
    return pa.LargeStringArray.from_buffers(
        len(offsets) - 1,
        pa.py_buffer(np.ascontiguousarray(offsets, np.int64)),
        pa.py_buffer(np.ascontiguousarray(data)),
    )


def _offsets_and_bytes(column: pa.Array) -> tuple[Ints, Bytes]:
    """Return where the rows of a string column begin and end in its bytes, from 0 on."""
    if len(column) == 0:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    _, offset_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[
        column.offset : column.offset + len(column) + 1
    ]
    data = np.frombuffer(data_buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], data


def _rows_to_mend(offsets: Ints, lowered: Bytes) -> Bools:
    """Tell which rows need more than lower case: beyond ASCII, or with blanks to collapse."""
    wrong = lowered >= 0x80
    blank = lowered == ord(" ")
    edge = np.zeros(len(lowered) + 1, bool)
    edge[offsets] = True
    wrong |= blank & (edge[:-1] | edge[1:])
    wrong[1:] |= blank[1:] & blank[:-1]
    rows = np.zeros(len(offsets) - 1, bool)
    rows[np.searchsorted(offsets, np.flatnonzero(wrong), side="right") - 1] = True
    return rows


def _runs(word: Bools, offsets: Ints) -> tuple[Ints, Ints]:
    """Return where each run of word bytes begins and ends; a run never leaves its row."""
    edge = np.zeros(len(word) + 1, bool)
    edge[offsets] = True
    begins, ends = word.copy(), word.copy()
    begins[1:] &= ~word[:-1] | edge[1:-1]
    ends[:-1] &= ~word[1:] | edge[1:-1]
    return np.flatnonzero(begins), np.flatnonzero(ends) + 1


def _beyond_ascii(data: Bytes) -> Bools:
    """Tell which bytes belong to a word character of two bytes or more."""
    lead = np.flatnonzero(data >= 0xC0)
    padded = np.concatenate((data, np.zeros(3, np.uint8)))
    first, second, third, fourth = (padded[lead + i].astype(np.int32) for i in range(4))
    second, third, fourth = second & 0x3F, third & 0x3F, fourth & 0x3F
    two = (first & 0x1F) << 6 | second
    three = (first & 0x0F) << 12 | second << 6 | third
    four = (first & 0x07) << 18 | second << 12 | third << 6 | fourth
    point = np.where(first < 0xE0, two, np.where(first < 0xF0, three, four))
    in_word = _word_points()[point]
    word = np.zeros(len(padded), bool)
    for more, least in enumerate((0, 0, 0xE0, 0xF0)):
        word[lead[in_word & (first >= least)] + more] = True
    return word[: len(data)]


@cache
def _word_points() -> Bools:
    r"""Return, for every code point, whether it is a word character (the regex crate's `\w`)."""
    points = np.concatenate((np.arange(0xD800), np.arange(0xE000, 0x110000)))
    text = points.astype("<u4").tobytes().decode("utf-32-le")
    found = pl.Series(list(text)).str.contains(r"^\w$")
    table = np.zeros(0x110000, bool)
    table[points] = found.to_numpy()
    return table
