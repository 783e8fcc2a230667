import random
from collections import Counter
from collections.abc import Sequence

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.trainers import WordPieceTrainer

from openalign.train.data.word_pieces import learn_pieces

FIRST = ["[PAD]", "[UNK]"]


def library_pieces(words: Sequence[str], *, size: int) -> list[str]:
    """Return what the library learns of words, repeated as often as they occur.

    It numbers letters inside words in the order of a hash map; here they are numbered beforehand.
    """
    alphabet = sorted(set("".join(words)))
    fixed = [*FIRST, *alphabet, *("##" + letter for letter in alphabet)][:size]
    trainer = WordPieceTrainer(
        vocab_size=size, min_frequency=2, special_tokens=fixed, show_progress=False
    )
    tokenizer = Tokenizer(WordPiece({}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.train_from_iterator(words, trainer)
    numbers = tokenizer.get_vocab(with_added_tokens=False)
    return sorted(numbers, key=lambda piece: numbers[piece])[:size]


def pieces_of(words: Sequence[str], *, size: int) -> list[str]:
    counts = Counter(words)
    return learn_pieces(list(counts), list(counts.values()), size=size, first=FIRST)


def random_words(seed: int) -> tuple[list[str], int]:
    """Few letters and short words make ties, runs of one letter and pieces with two histories."""
    draw = random.Random(seed)
    letters = draw.choice(["ab", "abc", "aäößé", "abcdefgh", "abcdefghijklmnopqrstuvwxyz"])
    longest = draw.choice([4, 8, 14])
    words = ["".join(draw.choices(letters, k=draw.randint(1, longest))) for _ in range(60)]
    weights = [draw.choice([1, 1, 2, 5, 40]) for _ in words]
    return draw.choices(words, weights, k=draw.randint(1, 700)), draw.choice([9, 20, 60, 120, 400])


@pytest.mark.parametrize("seed", range(0, 300, 50))
def test_pieces_equal_the_librarys(seed: int) -> None:
    for number in range(seed, seed + 50):
        words, size = random_words(number)
        assert pieces_of(words, size=size) == library_pieces(words, size=size), number


def test_the_most_frequent_pair_is_joined_first() -> None:
    """`ab` occurs 3 times in `ab` and twice in `cab`; as `##ab` and `ab` they are two pairs."""
    found = pieces_of(["ab"] * 3 + ["cab"] * 2, size=100)

    # Letters a, b, c are 2, 3, 4 and ##a, ##b, ##c are 5, 6, 7. Then a + ##b (3 times), and of the
    # two pairs that occur twice, c + ##a (4, 5) before ##a + ##b (5, 6); c, ##a, ##b becomes ca,
    # ##b and then cab.
    assert found == [*FIRST, "a", "b", "c", "##a", "##b", "##c", "ab", "ca", "cab"]


def test_pairs_that_occur_once_are_not_joined() -> None:
    assert pieces_of(["ab"], size=100) == [*FIRST, "a", "b", "##a", "##b"]


def test_no_more_pieces_than_asked_for() -> None:
    assert pieces_of(["abc"] * 9, size=5) == [*FIRST, "a", "b", "c"]
    assert len(pieces_of(["abc"] * 9, size=9)) == 9
    assert pieces_of([], size=9) == FIRST


def test_counts_may_pass_32_bits() -> None:
    found = learn_pieces(["ab", "cd"], [3 << 40, 5 << 40], size=100, first=FIRST)

    assert found[-2:] == ["cd", "ab"]
