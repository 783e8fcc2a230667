"""How the files that are judged hand on their names."""

import re

import pytest

from openalign.filtering.judging import check_tails, tail_of


def test_a_tail_is_what_follows_the_first_dash_of_the_name() -> None:
    assert tail_of("gs://my-bucket/a-b/candidates-00003-of-00008.parquet") == (
        "00003-of-00008.parquet"
    )


def test_names_with_tails_of_their_own_pass() -> None:
    check_tails([])
    check_tails(["/run/candidates-0.parquet", "/run/candidates-1.parquet"])


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        (["/a-1/x.parquet", "/a-1/y-0.parquet"], "of /a-1/x.parquet from"),
        (["/a/x-", "/a/y-0.parquet"], "of /a/x- from"),
        (["/a/x-0.parquet", "/b/y-0.parquet"], "/a/x-0.parquet and /b/y-0.parquet would"),
        (["/a/x-0.parquet", "/a/x-0.parquet"], "would become one file"),
    ],
    ids=["no dash in the name", "nothing after it", "one tail, two folders", "one file twice"],
)
def test_files_that_would_write_over_each_other_are_our_own_mistake(
    urls: list[str], message: str
) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_tails(urls)
