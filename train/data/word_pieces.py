"""WordPiece's pieces, learned from counts of words.

The library `tokenizers` learns them from texts, whose words it counts in one process. This is its
procedure on counts that were made elsewhere, with the same result (a test compares them): join the
most frequent pair of neighboring pieces everywhere, again and again. Of equally frequent pairs the
one goes first whose pieces were numbered first. Letters are numbered by code point, so that nothing
depends on chance.
"""

import heapq
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]

_INSIDE = "##"
"""Marks a piece that does not start a word."""

_MIN_FREQUENCY = 2
"""Two pieces are joined if they stand together at least this often."""

_SHIFT = 32
"""A pair is one number: its left piece shifted by so many bits, plus its right piece."""

_RIGHT = (1 << _SHIFT) - 1


def learn_pieces(
    words: Sequence[str], counts: Sequence[int], *, size: int, first: Sequence[str]
) -> list[str]:
    """Return at most `size` pieces: `first`, each letter alone and inside a word, then joined ones.

    `words` are distinct and not empty; `counts` says how often each occurs.
    """
    letters = np.frombuffer("".join(words).encode("utf-32-le"), dtype="<u4")
    alphabet, numbers = np.unique(letters, return_inverse=True)
    alone = [chr(letter) for letter in alphabet.tolist()]
    pieces = [*first, *alone, *(_INSIDE + letter for letter in alone)]
    if len(pieces) >= size or not len(words):
        return pieces[:size]
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    starts = np.cumsum(lengths) - lengths
    symbols = numbers.astype(np.int64) + (len(first) + len(alone))
    symbols[starts] -= len(alone)
    corpus = _Corpus(symbols, starts, lengths, np.asarray(counts, dtype=np.int64))
    return _join_pairs(corpus, pieces, size)


def _join_pairs(corpus: "_Corpus", pieces: list[str], size: int) -> list[str]:
    known = {piece: number for number, piece in enumerate(pieces)}
    waiting = _PiecePairs()
    waiting.change(list(corpus.pairs()))
    while len(pieces) < size and (found := waiting.most_frequent()) is not None:
        pair, words = found
        piece = pieces[pair >> _SHIFT] + pieces[pair & _RIGHT].removeprefix(_INSIDE)
        if piece not in known:  # two ways of joining may lead to one piece
            known[piece] = len(pieces)
            pieces.append(piece)
        waiting.change(corpus.join(pair, known[piece], words))
    return pieces


class _PiecePairs:
    """Pairs of pieces that wait to be joined, the most frequent first, each with its words."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._heap: list[tuple[int, int, int, Numbers]] = []
        self._num_pushed = 0

    def change(self, changes: Sequence[tuple[int, int, Numbers]]) -> None:
        """Take in how much more or less often pairs occur, and the words that have gained them."""
        for pair, difference, _ in changes:
            self._counts[pair] = self._counts.get(pair, 0) + difference
        for pair, _, gained in changes:
            if len(gained):
                self._push(pair, gained)

    def most_frequent(self) -> tuple[int, Numbers] | None:
        """Return the pair that is joined next, and the words to do it in; None at the end."""
        while self._heap:
            negative, pair, _, words = heapq.heappop(self._heap)
            if -negative == self._counts[pair]:
                return (pair, words) if -negative >= _MIN_FREQUENCY else None
            self._push(pair, words)  # it has become rarer, or more frequent, since it was pushed
        return None

    def _push(self, pair: int, words: Numbers) -> None:
        if self._counts[pair] > 0:
            self._num_pushed += 1
            heapq.heappush(self._heap, (-self._counts[pair], pair, self._num_pushed, words))


class _Corpus:
    """Distinct words as runs of pieces, which grow shorter where they stand."""

    def __init__(
        self, symbols: Numbers, starts: Numbers, lengths: Numbers, counts: Numbers
    ) -> None:
        self._symbols = symbols
        self._starts = starts
        self._lengths = lengths
        self._counts = counts

    def pairs(self) -> Iterator[tuple[int, int, Numbers]]:
        """Yield each pair of neighbors, how often it occurs, and the words that have it."""
        at, word = self._places(np.arange(len(self._starts)))
        left = np.flatnonzero(word[:-1] == word[1:])
        pairs = (self._symbols[at[left]] << _SHIFT) + self._symbols[at[left + 1]]
        for pair, count, words in _by_pair(pairs, self._counts[word[left]], word[left]):
            yield pair, count, np.unique(words)

    def join(self, pair: int, piece: int, words: Numbers) -> list[tuple[int, int, Numbers]]:
        """Join a pair in words, from left to right.

        Return how much more or less often other pairs occur now, and for each the words that have
        gained it.
        """
        at, word = self._places(words)
        symbols = self._symbols[at]
        left, right = pair >> _SHIFT, pair & _RIGHT
        same_word = word[:-1] == word[1:]
        found = np.flatnonzero((symbols[:-1] == left) & (symbols[1:] == right) & same_word)
        if left == right:
            found = _without_overlaps(found)
        if not len(found):
            return []
        joined = np.zeros(len(symbols) + 2, dtype=bool)  # whether a joined pair starts there
        joined[found] = True
        before = found[(found > 0) & np.concatenate([[False], same_word])[found]]
        after = found[np.concatenate([same_word, [False, False]])[found + 1]]
        neighbor = np.where(joined[before - 2], piece, symbols[before - 1])
        next_one = symbols[np.minimum(after + 2, len(symbols) - 1)]
        lost = [(neighbor << _SHIFT) + left, (right << _SHIFT) + next_one]
        gained = [(neighbor << _SHIFT) + piece, (piece << _SHIFT) + next_one]
        in_words = np.concatenate([word[before], word[after]])
        self._shorten(at, word, symbols, found, piece)
        weights = self._counts[in_words]
        return _changes(np.concatenate(lost), np.concatenate(gained), weights, in_words)

    def _places(self, words: Numbers) -> tuple[Numbers, Numbers]:
        """Return the places of all pieces of words, and the word of each."""
        lengths = self._lengths[words]
        ends = np.cumsum(lengths)
        within = np.arange(int(ends[-1])) - np.repeat(ends - lengths, lengths)
        return np.repeat(self._starts[words], lengths) + within, np.repeat(words, lengths)

    def _shorten(
        self, at: Numbers, word: Numbers, symbols: Numbers, found: Numbers, piece: int
    ) -> None:
        symbols = symbols.copy()
        symbols[found] = piece
        stays = np.ones(len(symbols), dtype=bool)
        stays[found + 1] = False
        num_gone = np.cumsum(~stays)
        first = np.flatnonzero(np.concatenate([[True], word[1:] != word[:-1]]))
        sizes = np.diff(first, append=len(word))
        gone_before = np.repeat((num_gone - ~stays)[first], sizes)  # in the words before
        self._symbols[(at - (num_gone - gone_before))[stays]] = symbols[stays]
        words, num_joined = np.unique(word[found], return_counts=True)
        self._lengths[words] -= num_joined


def _without_overlaps(found: Numbers) -> Numbers:
    """Return the places of pairs of equal pieces that are joined: every other one of a run."""
    run_starts = np.concatenate([[True], np.diff(found) != 1])
    first = np.maximum.accumulate(np.where(run_starts, np.arange(len(found)), 0))
    return found[(np.arange(len(found)) - first) % 2 == 0]


def _changes(
    lost: Numbers, gained: Numbers, weights: Numbers, words: Numbers
) -> list[tuple[int, int, Numbers]]:
    pairs = np.concatenate([lost, gained])
    signed = np.concatenate([-weights, weights])
    is_gain = np.repeat([False, True], len(weights))
    return [
        (pair, difference, np.unique(found[found >= 0]))
        for pair, difference, found in _by_pair(
            pairs, signed, np.where(is_gain, np.concatenate([words, words]), -1)
        )
    ]


def _by_pair(
    pairs: Numbers, weights: Numbers, words: Numbers
) -> Iterator[tuple[int, int, Numbers]]:
    """Yield each pair with the sum of its weights and its words."""
    if not len(pairs):
        return
    order = np.argsort(pairs, kind="stable")
    pairs, words = pairs[order], words[order]
    first = np.flatnonzero(np.concatenate([[True], pairs[1:] != pairs[:-1]]))
    sums = np.add.reduceat(weights[order], first)
    yield from zip(pairs[first].tolist(), sums.tolist(), np.split(words, first[1:]), strict=True)
