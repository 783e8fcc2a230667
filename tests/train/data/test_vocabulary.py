from pathlib import Path

import pytest

from openalign.train.data.preprocess import SPECIAL_TOKENS, Preprocess, build_tokenizer
from openalign.train.data.vocabulary import load_vocabulary, save_vocabulary, vocabulary_of
from openalign.train.data.words import WordRules

TEXTS = [f"{a} {b} number{n}" for a in ("red", "green") for b in ("cat", "car") for n in range(9)]
PLAIN = WordRules()


def test_frequent_words_are_pieces_and_every_letter_is_one() -> None:
    vocabulary = vocabulary_of(TEXTS, size=200, rules=PLAIN)

    assert vocabulary[:5] == list(SPECIAL_TOKENS)
    assert {"red", "green", "cat", "car", "number"} <= set(vocabulary)
    assert {"r", "##r", "0", "##0"} <= set(vocabulary)
    assert len(vocabulary) == len(set(vocabulary)) <= 200


def test_no_training_text_needs_the_unknown_piece() -> None:
    vocabulary = vocabulary_of(TEXTS, size=60, rules=PLAIN)
    tokenizer = build_tokenizer(vocabulary, Preprocess())

    assert len(vocabulary) == 60
    assert not any("[UNK]" in encoding.tokens for encoding in tokenizer.encode_batch(TEXTS))


def test_case_is_folded_by_setting_and_accents_are_kept() -> None:
    folded = vocabulary_of(["Éa", "Éa b"], size=100, rules=PLAIN)
    exact = vocabulary_of(["Éa", "Éa b"], size=100, rules=WordRules(lowercase=False))

    assert "éa" in folded
    assert "Éa" in exact
    assert "ea" not in folded


@pytest.mark.parametrize("change", ["reversed", "repeated"])
def test_neither_order_nor_repeats_matter(change: str) -> None:
    texts = TEXTS[::-1] if change == "reversed" else TEXTS * 2

    assert vocabulary_of(texts, size=100, rules=PLAIN) == vocabulary_of(
        TEXTS, size=100, rules=PLAIN
    )


def test_a_vocabulary_is_read_as_it_was_saved(tmp_path: Path) -> None:
    vocabulary = [*SPECIAL_TOKENS, "a", "\u2028", "##b"]

    save_vocabulary(str(tmp_path / "vocabulary.txt"), vocabulary)

    assert load_vocabulary(str(tmp_path / "vocabulary.txt")) == vocabulary
