"""What paths stand for. Of patterns with braces the library webdataset is the oracle."""

import pytest
from webdataset.shardlists import expand_urls

from openalign.ingest.sources.listing import ending_of, is_hidden, with_braces_expanded
from openalign.ingest.sources.paths import common_folder, fixed_folder


@pytest.mark.parametrize(
    "pattern",
    [
        "plain.tar",
        "{00000..00003}.tar",
        "{0..12}.tar",
        "{08..11}.tar",
        "{3..1}.tar",
        "a/{x,y}/{1..2}.tar",
        "{a,b,}c",
        "{007..7}",
    ],
)
def test_braces_stand_for_what_a_shell_makes_of_them(pattern: str) -> None:
    assert with_braces_expanded(pattern) == expand_urls(pattern)


def test_the_numbers_of_a_range_keep_their_digits() -> None:
    assert with_braces_expanded("{098..101}") == ["098", "099", "100", "101"]
    assert with_braces_expanded("{8..10}") == ["8", "9", "10"]


@pytest.mark.parametrize(
    ("path", "is_file", "folder"),
    [
        ("a/b", False, "a/b"),
        ("a/b/", False, "a/b"),
        ("/", False, "/"),
        ("a/b.tar", True, "a"),
        ("b.tar", True, "."),
        ("/b.tar", True, "/"),
        ("a/*/b.tar", True, "a"),
        ("a/b{1..2}/c.tar", True, "a"),
        ("*.tar", True, "."),
        ("s3://bucket/{1..2}.tar", True, "s3://bucket"),
    ],
)
def test_the_fixed_folder_is_what_no_pattern_changes(
    path: str, folder: str, *, is_file: bool
) -> None:
    assert fixed_folder(path, is_file=is_file) == folder


def test_endings_and_hidden_names() -> None:
    assert [ending_of(name) for name in ("a.b.JPG", "a", "a.b/c", ".jpg")] == ["jpg", "", "", "jpg"]
    assert [is_hidden(name) for name in (".a/b", "a/.b", "a.b/c")] == [True, True, False]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("a",), "a"),
        (("a", "a"), "a"),
        (("/data/a", "/data/b/c"), "/data"),
        (("/data/ab", "/data/ac"), "/data"),
        (("/data", "/data/b"), "/data"),
        (("/data", "/more"), "/"),
        (("s3://bucket/a", "s3://bucket/b"), "s3://bucket"),
    ],
)
def test_several_folders_have_one_above_them(folders: tuple[str, ...], expected: str) -> None:
    assert common_folder(folders) == expected


@pytest.mark.parametrize("folders", [("s3://a/x", "gs://a/x"), ("s3://a/x", "s3://b/x")])
def test_folders_of_different_stores_have_none(folders: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="path must name files of one store, got s3://a/x, "):
        common_folder(folders)
