import polars as pl
import pytest

from openalign.ingest.sources.table_conditions import Condition, holds, parse_condition


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("similarity >= 0.3", Condition("similarity", ">=", ("0.3",))),
        ("similarity>=.3", Condition("similarity", ">=", (".3",))),
        ("a b < -1e-3", Condition("a b", "<", ("-1e-3",))),
        ("LANGUAGE == en", Condition("LANGUAGE", "in", ("en",))),
        ("NSFW != 'UNLIKELY, maybe'", Condition("NSFW", "not in", ("UNLIKELY, maybe",))),
        ("LANGUAGE in en, de", Condition("LANGUAGE", "in", ("en", "de"))),
        ("LANGUAGE in [en, 'de']", Condition("LANGUAGE", "in", ("en", "de"))),
        ("NSFW not  in NSFW,UNSURE", Condition("NSFW", "not in", ("NSFW", "UNSURE"))),
        ("domain in a.example", Condition("domain", "in", ("a.example",))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_condition_has_a_column_an_operator_and_values(text: str, expected: Condition) -> None:
    assert parse_condition(text) == expected


@pytest.mark.parametrize("text", ["", "similarity", ">= 3", "a >=", "a > b", "a < nan", "inside x"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="where "):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x >= 0.3", [False, True, True, False, False]),
        ("x > 0.3", [False, False, True, False, False]),
        ("x <= 0.3", [True, True, False, False, False]),
        ("x < 0.3", [True, False, False, False, False]),
        ("x == 0.30", [False, True, False, False, False]),
    ],
)
def test_a_number_is_compared_on_both_sides_of_its_bound(text: str, expected: list[bool]) -> None:
    numbers = pl.Series([0.25, 0.3, 0.5, None, float("nan")])

    assert holds(parse_condition(text), numbers).to_list() == expected
    texts = pl.Series(["0.25", "0.3", "0.5", None, "?"])
    if "==" not in text:
        assert holds(parse_condition(text), texts).to_list() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x in en, de", [True, True, False, False]),
        ("x not in en, de", [False, False, True, False]),
        ("x == EN", [False, False, True, False]),
    ],
)
def test_a_text_is_compared_as_it_is(text: str, expected: list[bool]) -> None:
    assert holds(parse_condition(text), pl.Series(["en", "de", "EN", None])).to_list() == expected


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pl.Series([True, False]), "x == true"),
        (pl.Series([1, 2]), "x == 1.0"),
        (pl.Series(["1", "2"]), "x == 1"),
    ],
    ids=["booleans", "integers", "digits"],
)
def test_values_of_other_types_are_compared_by_what_they_say(column: pl.Series, text: str) -> None:
    assert holds(parse_condition(text), column).to_list() == [True, False]
