import polars as pl
import pytest
import xxhash

from openalign.files.fingerprints import canonical_json, fingerprint_of
from openalign.files.hashing import (
    candidate_key,
    candidate_keys,
    hash64,
    hash64_expr,
    image_key,
)


@pytest.mark.parametrize(
    "text", ["", "a", "red apple", "Stra\u00dfe", "\u8d64\u3044\u308a\u3093\u3054", "a" * 1000]
)
def test_the_column_hash_equals_the_string_hash(text: str) -> None:
    column = pl.DataFrame({"text": [text]}).select(hash64_expr("text")).item()

    assert column == hash64(text) == xxhash.xxh3_64_intdigest(text.encode(), seed=0)


def test_null_has_no_hash() -> None:
    column = pl.DataFrame({"text": [None]}, schema={"text": pl.String})

    assert column.select(hash64_expr("text")).item() is None


def test_a_key_tells_the_url_from_the_alt_text() -> None:
    assert candidate_key("http://a/b", "c") != candidate_key("http://a/", "bc")
    assert candidate_key("http://a/", "x") == xxhash.xxh3_128_hexdigest(b"http://a/\0x", seed=0)
    assert len(image_key("http://a/")) == 32


def test_keys_of_columns_are_those_of_their_rows() -> None:
    urls = [f"http://a/{number}" for number in range(500)] + ["", "\u4e2d", "http://a/"]
    texts = [f"text {number * 7}" for number in range(500)] + ["", "\0\U0001f34e", "x"]

    keys = candidate_keys(pl.Series(urls), pl.Series(texts))

    assert keys.to_list() == list(map(candidate_key, urls, texts))
    assert any(key.startswith("0") for key in keys)
    assert candidate_keys(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String)).is_empty()


def test_the_pinned_values_do_not_move() -> None:
    """These are in every data set ever written."""
    url = "http://openmoji.example/pictures/1F34E.png"

    assert hash64("red apple") == 0x6A9325577DD84FD1
    assert image_key(url) == "c166d997bdea3f6ce26c05e5aa7cb8d2"
    assert candidate_key(url, "red apple") == "ea6422c7ae3dc5af2db443edb4215ef5"


def test_json_has_one_spelling() -> None:
    assert canonical_json({"b": 1, "a": [1, "\u00e9"]}) == '{"a":[1,"\u00e9"],"b":1}'
    assert fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
