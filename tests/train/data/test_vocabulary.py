import subprocess
import sys
from pathlib import Path

import pytest

from openalign.train.data.preprocess import SPECIAL_TOKENS, Preprocess, build_tokenizer
from openalign.train.data.vocabulary import learn_vocabulary, load_vocabulary, save_vocabulary

TEXTS = [f"{a} {b} number{n}" for a in ("red", "green") for b in ("cat", "car") for n in range(9)]


def test_frequent_words_are_pieces_and_every_letter_is_one() -> None:
    vocabulary = learn_vocabulary(TEXTS, size=200, lowercase=True)

    assert vocabulary[:5] == list(SPECIAL_TOKENS)
    assert {"red", "green", "cat", "car", "number"} <= set(vocabulary)
    assert {"r", "##r", "0", "##0"} <= set(vocabulary)
    assert len(vocabulary) == len(set(vocabulary)) <= 200


def test_no_training_text_needs_the_unknown_piece() -> None:
    vocabulary = learn_vocabulary(TEXTS, size=60, lowercase=True)
    tokenizer = build_tokenizer(vocabulary, Preprocess())

    assert len(vocabulary) == 60
    assert not any("[UNK]" in encoding.tokens for encoding in tokenizer.encode_batch(TEXTS))


def test_case_is_folded_by_setting_and_accents_are_kept() -> None:
    folded = learn_vocabulary(["Éa", "Éa b"], size=100, lowercase=True)
    exact = learn_vocabulary(["Éa", "Éa b"], size=100, lowercase=False)

    assert "éa" in folded
    assert "Éa" in exact
    assert "ea" not in folded


@pytest.mark.parametrize("change", ["reversed", "repeated"])
def test_neither_order_nor_repeats_matter(change: str) -> None:
    texts = TEXTS[::-1] if change == "reversed" else TEXTS * 2

    assert learn_vocabulary(texts, size=100, lowercase=True) == learn_vocabulary(
        TEXTS, size=100, lowercase=True
    )


def test_processes_agree_to_the_last_piece() -> None:
    """The library alone does not: hash maps are seeded anew in every process.

    Words over 40 letters that share many pairs give the ties that used to be broken by chance.
    """
    code = (
        "import random; random.seed(0);"
        "w = [''.join(random.choices('abcdefghijklmnopqrstuvwxyzäöüßéèàçñåøæœžščřýíá', k=5))"
        " for _ in range(300)];"
        "from openalign.train.data.vocabulary import learn_vocabulary;"
        "print(learn_vocabulary([f'{a} {b}' for a, b in zip(w, w[7:])], size=700, lowercase=True))"
    )
    command = [sys.executable, "-c", code]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    one, two = (run.communicate()[0] for run in runs)

    assert one.startswith("['[PAD]', ")
    assert one == two


def test_a_vocabulary_is_read_as_it_was_saved(tmp_path: Path) -> None:
    vocabulary = [*SPECIAL_TOKENS, "a", "\u2028", "##b"]

    save_vocabulary(str(tmp_path / "vocabulary.txt"), vocabulary)

    assert load_vocabulary(str(tmp_path / "vocabulary.txt")) == vocabulary
