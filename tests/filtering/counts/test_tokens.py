import random
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import regex

from openalign.files.hashing import hash64
from openalign.filtering.counts.tokens import (
    _word_points,
    hash_strings,
    hash_words,
    mix_pairs,
    normalize,
    normalize_text,
)

WORD = regex.compile(r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+")
M64 = (1 << 64) - 1

# (text, its words)
CASES = [
    pytest.param("A red  Apple", ["a", "red", "apple"], id="plain"),
    pytest.param("", [], id="empty"),
    pytest.param("?!", [], id="only punctuation"),
    pytest.param("alt_img 1920x1080", ["alt_img", "1920x1080"], id="underscores stay"),
    pytest.param("dog's-ear", ["dog", "s", "ear"], id="punctuation parts"),
    pytest.param("Stra\u00dfe", ["strasse"], id="German sharp s"),
    pytest.param(
        "\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03cc\u03c2",
        ["\u03bf\u03b4\u03bf\u03c3", "\u03bf\u03b4\u03cc\u03c3"],
        id="Greek final sigma",
    ),
    pytest.param(
        "DI\u015e d\u0131\u015f",
        ["di\u015f", "d\u0131\u015f"],
        id="Turkish dotless i is not folded",
    ),
    pytest.param("\u0130", ["i\u0307"], id="Turkish dotted capital I"),
    pytest.param(
        "cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"], id="combining accent is composed"
    ),
    pytest.param("x\u0338\u0338y", ["x\u0338\u0338y"], id="marks stay in a word"),
    pytest.param(
        "\u8d64\u3044\u30ea\u30f3\u30b4\u3001\u767d\u3044\u72ac",
        ["\u8d64\u3044\u30ea\u30f3\u30b4", "\u767d\u3044\u72ac"],
        id="CJK runs",
    ),
    pytest.param(
        "\u062a\u0641\u0627\u062d\u0629 \u062d\u0645\u0631\u0627\u0621",
        ["\u062a\u0641\u0627\u062d\u0629", "\u062d\u0645\u0631\u0627\u0621"],
        id="Arabic",
    ),
    pytest.param(
        "\u0932\u093e\u0932 \u0938\u0947\u092c",
        ["\u0932\u093e\u0932", "\u0938\u0947\u092c"],
        id="Devanagari vowel signs",
    ),
    pytest.param("\U0001f44d\U0001f3fd ok \U0001f34epie", ["ok", "pie"], id="emoji are no words"),
    pytest.param("\ufb01sh \ufb03x", ["fish", "ffix"], id="ligatures"),
    pytest.param("\uff21\uff22\uff23 \uff11", ["abc", "1"], id="full width"),
    pytest.param("so\u00adft", ["so", "ft"], id="soft hyphen parts"),
    pytest.param(
        "\u0915\u094d\u200d\u0937", ["\u0915\u094d\u200d\u0937"], id="zero-width joiner joins"
    ),
    pytest.param("a\u200bb", ["a", "b"], id="zero-width space parts"),
    pytest.param("x\u00b2 \u00bd", ["x2", "1", "2"], id="superscripts and fractions"),
    pytest.param("\U0001d400\U0001d401", ["ab"], id="mathematical letters, four bytes"),
    pytest.param("\U00100041", [], id="private use, the last plane"),
    pytest.param("\U00010400x", ["\U00010428x"], id="Deseret case, four bytes"),
]


def words_of(text: str) -> list[str]:
    """The slow form: one regular expression on one Python string."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def hashes_of(words: list[str]) -> list[int]:
    return [hash64(word) & ~1 for word in words]


def mixed(left: int, right: int) -> int:
    value = left * 0x9E3779B97F4A7C15 & M64
    value = (value ^ value >> 29) + right & M64
    value = value * 0xC2B2AE3D27D4EB4F & M64
    return (value ^ value >> 32) | 1


@pytest.mark.parametrize(("text", "words"), CASES)
def test_a_text_is_cut_into_these_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words

    tokens = hash_words(normalize(pa.array([text])))

    assert tokens.unigrams.tolist() == hashes_of(words)
    assert tokens.num_unigrams.tolist() == [len(words)]


def test_words_never_cross_rows() -> None:
    texts = [str(case.values[0]) for case in CASES]
    together = ["ab", "cd", "", "\u00e9", "\u00e9", None, "x"]

    tokens = hash_words(normalize(pa.array([*texts, *together])))

    expected = [words_of(text or "") for text in [*texts, *together]]
    assert tokens.num_unigrams.tolist() == [len(words) for words in expected]
    assert tokens.unigrams.tolist() == [h for words in expected for h in hashes_of(words)]


def test_a_slice_of_a_column_is_read_from_its_own_rows() -> None:
    column = pa.array(["one two", "three", "four five six", "seven"])[1:3]

    tokens = hash_words(normalize(column))

    assert tokens.unigrams.tolist() == hashes_of(["three", "four", "five", "six"])


def test_no_rows_have_no_words() -> None:
    tokens = hash_words(normalize(pa.array([], pa.string())))

    assert (len(tokens.unigrams), len(tokens.num_unigrams), len(tokens.bigrams()[0])) == (0, 0, 0)


def test_bigrams_are_neighbors_within_a_row_in_order() -> None:
    tokens = hash_words(normalize(pa.array(["", "a b c", "d", "?", "e f", ""])))

    bigrams, rows = tokens.bigrams()

    a, b, c, _, e, f = hashes_of(["a", "b", "c", "d", "e", "f"])
    assert bigrams.tolist() == [mixed(a, b), mixed(b, c), mixed(e, f)]
    assert rows.tolist() == [1, 1, 4]


def test_unigrams_and_bigrams_share_no_value_and_order_matters() -> None:
    unigrams = hash_strings(pa.array([f"word{i}" for i in range(300)], pa.large_string()))
    unigrams = unigrams & ~np.uint64(1)
    left, right = np.repeat(unigrams, 300), np.tile(unigrams, 300)

    bigrams = mix_pairs(left, right)

    assert len(np.unique(bigrams)) == 300 * 300  # `a b`, `b a` and `a a` all differ
    assert (bigrams & np.uint64(1)).all()


def test_the_top_bits_of_bigrams_are_spread() -> None:
    unigrams = hash_strings(pa.array([f"word{i}" for i in range(300)], pa.large_string()))
    bigrams = mix_pairs(np.repeat(unigrams, 300), np.tile(unigrams, 300))

    counts = np.bincount((bigrams >> np.uint64(58)).astype(np.int64), minlength=64)

    assert counts.min() > 1200  # 90,000 / 64 = 1406, standard deviation 37
    assert counts.max() < 1620


@pytest.mark.parametrize(
    ("text", "one_spelling"),
    [
        pytest.param("  A\tred \n apple ", "a red apple", id="white space of ASCII"),
        pytest.param("a\u00a0b\u3000c\u2028d", "a b c d", id="white space beyond ASCII"),
        pytest.param("a\x1cb\x0bc", "a b c", id="separators of ASCII"),
        pytest.param("STRASSE", "strasse", id="upper case"),
        pytest.param(" ", "", id="only white space"),
        pytest.param("a b", "a b", id="nothing to do"),
    ],
)
def test_a_text_has_one_spelling(text: str, one_spelling: str) -> None:
    assert normalize_text(text) == one_spelling
    assert normalize(pa.array(["x", text, "y"])).to_pylist() == ["x", one_spelling, "y"]


def test_random_text_is_treated_as_the_slow_form_does() -> None:
    rng = random.Random(7)
    alphabet = (
        "aB_9 .-\u00df\u03a3\u03c2\u0131\u0130\u00e9\u0301\u4e2d\u3042\u0639\u0915\u094d"
        "\u200d\u00ad\ufb01\uff21\U0001f34e\U0001d400 \t\u00a0"
    )
    texts = ["".join(rng.choices(alphabet, k=rng.randrange(12))) for _ in range(4000)]

    normalized = normalize(pa.array(texts))
    tokens = hash_words(normalized)

    assert normalized.to_pylist() == [normalize_text(text) for text in texts]
    expected = [words_of(text) for text in texts]
    assert tokens.num_unigrams.tolist() == [len(words) for words in expected]
    assert tokens.unigrams.tolist() == [h for words in expected for h in hashes_of(words)]


def test_word_characters_are_those_of_the_regex_module() -> None:
    """Compared where this Python knows the character: the tables' Unicode versions differ."""
    table = _word_points()
    known = [
        point
        for point in range(0x110000)
        if not 0xD800 <= point < 0xE000 and unicodedata.category(chr(point)) != "Cn"
    ]

    differing = [p for p in known if bool(WORD.fullmatch(chr(p))) != bool(table[p])]

    assert len(known) > 280_000
    assert differing == []
