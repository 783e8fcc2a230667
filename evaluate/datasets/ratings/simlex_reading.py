"""Reads SimLex-999's text file: columns with tabs between them, named in the first line.

word1  word2  POS  SimLex999  conc(w1)  conc(w2)  concQ  Assoc(USF)  SimAssoc333  SD(SimLex)
old    new    A    1.58       2.72      2.81      2      7.25        1            0.41
"""

import math

from openalign.errors import InputError
from openalign.evaluate.datasets.ratings.word_pairs import WordPair, WordPairs
from openalign.evaluate.datasets.reading.folders import glance, only_file
from openalign.evaluate.datasets.reading.text import read_columns

_COLUMNS = ("word1", "word2", "POS", "SimLex999", "concQ", "SimAssoc333")
_FORM = f"SimLex-999.txt has columns {', '.join(_COLUMNS)}, with tabs between them"
_PARTS_OF_SPEECH = ("A", "N", "V")
_MAX_SIMILARITY = 10.0


def read(path: str) -> WordPairs:
    """Return the pairs, in the file's order.

    Raises:
        InputError: a column is missing, a value is not what the column holds, or there is no pair.
    """
    file = file_of(path)
    pairs = [
        _pair(f"{file}:{number}", cells)
        for number, cells in read_columns(file, _COLUMNS, separator="\t", form=_FORM)
    ]
    if not pairs:
        raise InputError(f"{file}: has no pairs", hint=_FORM)
    return WordPairs(pairs=pairs)


def file_of(path: str) -> str:
    """Return the text file that a path names: itself, or the one in a folder.

    Raises:
        InputError: the folder has none.
    """
    file = only_file(path, "SimLex-999.txt")
    if not file:
        raise InputError(f"{path}: holds no SimLex-999.txt")
    return file


def is_simlex(path: str) -> bool:
    """Tell by its first line whether a file is SimLex's."""
    file = only_file(path, "SimLex-999.txt")
    first = glance(file).partition("\n")[0]
    return set(_COLUMNS) <= set(first.strip().split("\t"))


def _pair(where: str, cells: list[str]) -> WordPair:
    word1, word2, part, similarity, quartile, hard = cells
    if not word1 or not word2:
        raise InputError(f"{where}: a word is missing")
    return WordPair(
        word1=word1,
        word2=word2,
        part_of_speech=_one_of(where, "POS", part, _PARTS_OF_SPEECH),
        similarity=_similarity(where, similarity),
        concreteness_quartile=int(_one_of(where, "concQ", quartile, ("1", "2", "3", "4"))),
        is_hard=_one_of(where, "SimAssoc333", hard, ("0", "1")) == "1",
    )


def _similarity(where: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= _MAX_SIMILARITY:
        raise InputError(f"{where}: SimLex999 must be a number from 0 to 10, got {text!r}")
    return value


def _one_of(where: str, column: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise InputError(f"{where}: {column} must be one of {', '.join(allowed)}, got {value!r}")
    return value
