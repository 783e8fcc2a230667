import random
import unicodedata
from collections import Counter
from typing import Any

import polars as pl
import pytest
from transformers import BertTokenizer

from openalign.train.config import ModelConfig
from openalign.train.data.words import Normalization, WordRules, count_words, words_of

PLAIN = WordRules()
DEFAULT = WordRules.of(ModelConfig())


def words(text: str, rules: WordRules) -> list[str]:
    return list(words_of([text], rules))


def test_an_emoji_that_touches_a_word_leaves_the_word_whole() -> None:
    assert words("red apple\N{RED APPLE}", DEFAULT) == ["red", "apple", "\N{RED APPLE}"]
    assert words("red apple\N{RED APPLE}", PLAIN) == ["red", "apple\N{RED APPLE}"]


def test_skin_tones_signs_and_currencies_stand_alone() -> None:
    hand = "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"

    assert words(f"{hand}ok", DEFAULT) == [*hand, "ok"]
    assert words("Lego\N{TRADE MARK SIGN} set, 20\N{EURO SIGN}", DEFAULT) == [
        "lego",
        "\N{TRADE MARK SIGN}",
        "set",
        ",",
        "20",
        "\N{EURO SIGN}",
    ]


def test_an_emoji_asks_for_color_without_a_word_for_it() -> None:
    heart = "\N{HEAVY BLACK HEART}"

    assert words(f"{heart}\ufe0flove", DEFAULT) == words(f"{heart}love", DEFAULT) == [heart, "love"]


@pytest.mark.parametrize(("form", "same"), [("none", False), ("nfc", True), ("nfkc", True)])
def test_a_composed_letter_and_a_decomposed_one_make_one_word(
    form: Normalization, *, same: bool
) -> None:
    rules = WordRules(normalization=form)
    composed, decomposed = (unicodedata.normalize(f, "Café") for f in ("NFC", "NFD"))

    assert (words(composed, rules) == words(decomposed, rules)) is same
    assert words(composed, rules) == ["café"]


def test_only_nfkc_makes_wide_letters_and_ligatures_plain() -> None:
    text = "\uff21pple \ufb01ne"

    assert words(text, WordRules(normalization="nfkc")) == ["apple", "fine"]
    assert words(text, WordRules(normalization="nfc")) == ["\uff41pple", "\ufb01ne"]


def test_plain_rules_are_those_of_a_bert() -> None:
    vocabulary = {
        piece: number for number, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    }
    bert: Any = BertTokenizer(vocab=vocabulary, do_lower_case=True, strip_accents=False)
    text = "A Café-au-lait,\t20\u20ac apple\N{RED APPLE} \u6f22\u5b57 x\u200dy"

    library = bert.backend_tokenizer
    cut = library.pre_tokenizer.pre_tokenize_str(library.normalizer.normalize_str(text))
    assert words(text, PLAIN) == [word for word, _ in cut]


@pytest.mark.parametrize(
    "rules", [PLAIN, DEFAULT, WordRules(lowercase=False, normalization="nfkc")]
)
def test_counted_words_equal_the_words_one_by_one(rules: WordRules) -> None:
    draw = random.Random(0)
    letters = "ab cdé\u0301\u0308 \u00a0\u3000\t\n A \u03a3\u03c2 \u2122\u00bd\ufb01.,!-\u6f22"
    letters += "\N{RED APPLE}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}\u200d\ufe0f"
    texts = ["".join(draw.choices(letters, k=draw.randint(0, 30))) for _ in range(2000)]
    texts += ["a b a", "b", ""]

    found = count_words(pl.Series(texts), rules)

    assert dict(found.iter_rows()) == Counter(words_of(texts, rules))
    assert found["word"].to_list() == sorted(found["word"].to_list())


def test_no_text_has_no_words() -> None:
    assert count_words(pl.Series([], dtype=pl.String), DEFAULT).height == 0
