"""Languages of short texts: captions by hand, and 840 names of emoji in 14 languages."""

from collections import Counter
from collections.abc import Iterator

import emoji
import numpy as np
import polars as pl
import pytest
from py3langid import langid

from openalign.errors import MissingExtraError
from openalign.ingest import text_language
from openalign.ingest.text_language import (
    LANGUAGES,
    language_of,
    require_detector,
    with_languages,
)

NAMED = ("ar", "de", "en", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
"""The languages of the package `emoji`."""


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("A red boat in the old harbour", "en"),
        ("TWO DOGS RUNNING ON THE BEACH", "en"),
        ("Ein rotes Boot im alten Hafen", "de"),
        ("Un bateau rouge dans le vieux port", "fr"),
        ("Un barco rojo en el puerto viejo", "es"),
        ("Una barca rossa nel vecchio porto", "it"),
        ("Um barco vermelho no porto velho", "pt"),
        ("Een rode boot in de oude haven", "nl"),
        ("Czerwona \u0142\u00f3d\u017a w starym porcie", "pl"),
        ("\u041a\u0440\u0430\u0441\u043d\u0430\u044f \u043b\u043e\u0434\u043a\u0430", "ru"),
        ("\u53e4\u3044\u6e2f\u306e\u8d64\u3044\u30dc\u30fc\u30c8", "ja"),
        ("\u8001\u6e2f\u53e3\u7684\u7ea2\u8239", "zh"),
        ("\uc624\ub798\ub41c \ud56d\uad6c\uc758 \ubd89\uc740 \ubc30", "ko"),
        ("IMG_20240101_123456.jpg", None),
        ("1920x1080", None),
        ("leg medium light skin tone", None),  # one language is hardly ahead of another
        ("ok", None),
        ("", None),
    ],
)
def test_language_of_a_caption(text: str, language: str | None) -> None:
    assert language_of(text) == language


def names_of_emoji() -> Iterator[tuple[str, str]]:
    """Yield 60 names in each language, of three words and more, each with its language."""
    emoji.config.load_language()
    for language in NAMED:
        names: set[str] = set()
        for entry in emoji.EMOJI_DATA.values():
            name = entry.get(language, "").strip(":").replace("_", " ").replace("-", " ")
            is_long = len(name) >= 6 if language in ("ja", "ko", "zh") else len(name.split()) >= 3
            if is_long and len(name) >= 6:
                names.add(name)
        ordered = sorted(names)
        for number in range(60):
            yield ordered[number * len(ordered) // 60], language


def test_most_names_of_emoji_are_told_and_hardly_one_is_wrongly_english() -> None:
    told = [(language_of(name), language) for name, language in names_of_emoji()]

    right = Counter(language for found, language in told if found == language)
    wrong = [found for found, language in told if found not in (None, language)]
    assert len(told) == 840
    assert right.total() > 0.9 * 840
    assert min(right.values()) > 0.7 * 60
    assert len(wrong) < 0.04 * 840
    assert wrong.count("en") <= 2


def test_what_is_told_is_what_the_library_finds_likeliest() -> None:
    library = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    library.set_languages([*LANGUAGES, "zxx"])

    for name, _ in names_of_emoji():
        found = language_of(name)
        assert found in (None, library.classify(name)[0])


def test_sums_are_of_whole_numbers() -> None:
    model = text_language._model()

    assert {part.dtype for part in (model.prior, model.evidence, model.weights)} == {
        np.dtype(np.int64)
    }
    # The largest sum that a text of 4,096 different sequences could come to.
    assert 4096 * int(model.weights.max()) * int(abs(model.evidence).max()) < 2**63


def test_candidates_get_a_column() -> None:
    rows = pl.DataFrame({"alt_text": ["A red boat in the old harbour", "1920x1080"]})

    assert with_languages(rows)["text_language"].to_list() == ["en", None]
    assert with_languages(rows.clear()).schema["text_language"] == pl.String


def test_a_detector_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    require_detector()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="py3langid is not installed"):
        require_detector()
