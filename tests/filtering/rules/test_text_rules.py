import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from openalign.files.facts import RuleEffect
from openalign.filtering.config import TextRules
from openalign.filtering.counts.tokens import U64, hash_strings, normalize, tokenize
from openalign.filtering.rules.flags import first_rule, pack, rule_effects
from openalign.filtering.rules.text import TEXT_RULES, Corpus, TextBatch, has_rare_ngram, text_flags

NONE = np.zeros(0, np.uint64)


def ngrams(*texts: str) -> U64:
    tokens = tokenize(normalize(pa.array(texts)))
    return np.unique(np.concatenate((tokens.unigrams, tokens.bigrams()[0])))


def reasons(
    texts: list[str],
    *,
    rules: TextRules,
    corpus: Corpus | None = None,
    languages: list[str | None] | None = None,
) -> list[str | None]:
    normalized = normalize(pa.array(texts))
    batch = TextBatch(
        pl.Series(languages or ["en"] * len(texts), dtype=pl.String),
        hash_strings(normalized),
        hash_strings(pa.array([f"http://{i}" for i in range(len(texts))], pa.large_string())),
        tokenize(normalized),
    )
    corpus = corpus or Corpus(ngrams(*texts), NONE, NONE)
    return first_rule(text_flags(batch, corpus, rules), TEXT_RULES).to_list()


def test_the_rules_are_asked_in_the_order_of_the_schema() -> None:
    assert TEXT_RULES == (
        "language",
        "alt_text_on_many_images",
        "image_with_many_alt_texts",
        "too_few_unigrams",
        "too_many_unigrams",
        "rare_ngram",
    )


@pytest.mark.parametrize(
    ("num_words", "reason"),
    [
        pytest.param(2, "too_few_unigrams", id="one below the minimum"),
        pytest.param(3, None, id="the minimum"),
        pytest.param(20, None, id="the maximum"),
        pytest.param(21, "too_many_unigrams", id="one above the maximum"),
    ],
)
def test_the_papers_lengths_are_kept_inclusive(num_words: int, reason: str | None) -> None:
    assert reasons(["word " * num_words], rules=TextRules()) == [reason]


@pytest.mark.parametrize(
    ("language", "languages", "keep_unknown", "reason"),
    [
        pytest.param("en", ("en",), False, None, id="the language"),
        pytest.param("de", ("en",), True, "language", id="another language"),
        pytest.param("de", ("en", "de"), False, None, id="the second of two"),
        pytest.param("de", (), False, None, id="all languages"),
        pytest.param(None, ("en",), True, None, id="unknown is kept"),
        pytest.param(None, ("en",), False, "language", id="unknown is dropped"),
        pytest.param(None, (), False, None, id="unknown among all"),
    ],
)
def test_pages_are_judged_by_their_language(
    *, language: str | None, languages: tuple[str, ...], keep_unknown: bool, reason: str | None
) -> None:
    rules = TextRules(languages=languages, keep_unknown_language=keep_unknown)

    assert reasons(["a red apple"], rules=rules, languages=[language]) == [reason]


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        pytest.param(("a red apple",), None, id="all known"),
        pytest.param(("a red", "apple"), "rare_ngram", id="one bigram missing"),
        pytest.param(("a red", "red fruit"), "rare_ngram", id="one unigram missing"),
        pytest.param((), "rare_ngram", id="nothing known"),
    ],
)
def test_one_rare_ngram_drops_a_text(known: tuple[str, ...], reason: str | None) -> None:
    corpus = Corpus(ngrams(*known), NONE, NONE)

    assert reasons(["A red apple!"], rules=TextRules(), corpus=corpus) == [reason]


def test_rare_ngrams_are_found_in_their_own_row() -> None:
    tokens = tokenize(normalize(pa.array(["a b", "b a", "", "a", "c a b", "b"])))

    assert has_rare_ngram(tokens, ngrams("a b")).tolist() == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]


def test_texts_and_images_of_the_corpus_sets_are_dropped() -> None:
    corpus = Corpus(
        ngrams("a red apple", "two red apples", "three red apples"),
        hash_strings(pa.array(["two red apples"], pa.large_string())),
        hash_strings(pa.array(["http://2"], pa.large_string())),
    )

    texts = ["a red apple", "Two  red APPLES", "three red apples"]

    assert reasons(texts, rules=TextRules(), corpus=corpus) == [
        None,
        "alt_text_on_many_images",
        "image_with_many_alt_texts",
    ]


def test_a_row_has_the_first_of_its_reasons() -> None:
    flags = pack([np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)])

    assert flags.tolist() == [0, 2, 1, 3]
    assert first_rule(flags, ("first", "second")).to_list() == [None, "second", "first", "first"]


def test_effects_tell_first_alone_and_only() -> None:
    # 5 rows kept, 3 dropped by a alone, 2 by b alone, 4 by a and b, 1 by b and c.
    effects = rule_effects({0: 5, 1: 3, 2: 2, 3: 4, 6: 1}, ("a", "b", "c"))

    assert effects == [
        RuleEffect(rule="a", dropped=7, alone=7, only=3),
        RuleEffect(rule="b", dropped=3, alone=7, only=2),
        RuleEffect(rule="c", dropped=0, alone=1, only=0),
    ]
