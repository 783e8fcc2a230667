from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from openalign.files.schemas import CANDIDATE
from openalign.files.states import FilterState
from openalign.filtering.config import LanguageFrom, TextRules
from openalign.filtering.counts.tokens import U64, hash_strings, hash_words, normalize
from openalign.filtering.rules.table import ask_rules, first_rule, names_of
from openalign.filtering.rules.text import TEXT_RULES, TextBatch, TextCorpus, has_rare_ngram

NONE = np.zeros(0, np.uint64)


def ngrams(*texts: str) -> U64:
    tokens = hash_words(normalize(pa.array(texts)))
    return np.unique(np.concatenate((tokens.unigrams, tokens.bigrams()[0])))


def batch_of(
    texts: list[str],
    languages: Sequence[str | None] | None = None,
    of_texts: Sequence[str | None] | None = None,
) -> TextBatch:
    rows = [
        {
            "key": str(i),
            "image_url": f"http://{i}",
            "alt_text": text,
            "page_language": languages[i] if languages else "en",
            "text_language": of_texts[i] if of_texts else None,
        }
        for i, text in enumerate(texts)
    ]
    [batch] = pa.Table.from_pylist(rows, schema=CANDIDATE).to_batches()
    return TextBatch.of(batch)


def reasons(
    texts: list[str],
    *,
    rules: TextRules,
    corpus: TextCorpus | None = None,
    languages: list[str | None] | None = None,
) -> list[str | None]:
    batch = batch_of(texts, languages)
    corpus = corpus or TextCorpus(ngrams(*texts), NONE, NONE)
    return first_rule(ask_rules(TEXT_RULES, batch, corpus, rules), names_of(TEXT_RULES)).to_list()


def test_the_table_has_every_state_of_filter_in_its_order() -> None:
    assert names_of(TEXT_RULES) == tuple(state.value for state in FilterState)[1:]
    assert names_of(TEXT_RULES) == (
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
    ("language_from", "reasons"),
    [
        pytest.param("page", [None, "language", None, None], id="page"),
        pytest.param("text", ["language", None, None, "language"], id="text"),
        pytest.param("page_or_text", [None, "language", None, "language"], id="page or text"),
    ],
)
def test_a_setting_says_what_names_the_language(
    language_from: LanguageFrom, reasons: list[str | None]
) -> None:
    batch = batch_of(["a red apple"] * 4, ["en", "de", None, None], ["de", "en", "en", "de"])
    corpus = TextCorpus(ngrams("a red apple"), NONE, NONE)
    flags = ask_rules(TEXT_RULES, batch, corpus, TextRules(language_from=language_from))

    assert first_rule(flags, names_of(TEXT_RULES)).to_list() == reasons


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
    corpus = TextCorpus(ngrams(*known), NONE, NONE)

    assert reasons(["A red apple!"], rules=TextRules(), corpus=corpus) == [reason]


def test_rare_ngrams_are_found_in_their_own_row() -> None:
    batch = batch_of(["a b", "b a", "", "a", "c a b", "b"])
    corpus = TextCorpus(ngrams("a b"), NONE, NONE)

    assert has_rare_ngram(batch, corpus, TextRules()).tolist() == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]


def test_texts_and_images_of_the_corpus_sets_are_dropped() -> None:
    corpus = TextCorpus(
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
