import pytest

from openalign.errors import InputError
from openalign.evaluate.datasets.reading.captions import CaptionChecker


def test_the_first_captions_that_are_not_blank_count() -> None:
    checker = CaptionChecker("a.json", 2)

    kept = checker.check("9.jpg", [" ", "one ", "", "two", "three"], ["0", "1", "2", "3", "4"])

    assert kept == (("one", "two"), ("1", "3"))


def test_captions_without_words_are_captions() -> None:
    checker = CaptionChecker("a.json", 5)

    assert checker.check("9.jpg", [".", "..."]) == ((".", "..."), ())
    assert checker.notes() == ()


def test_an_image_without_captions_is_refused() -> None:
    checker = CaptionChecker("a.json", 5)

    with pytest.raises(InputError, match=r"a\.json: 9\.jpg has no caption that is not blank"):
        checker.check("9.jpg", ["", " \t"])


@pytest.mark.parametrize(("num_captions", "num_blank"), [(5, 1), (200, 2), (299, 2)])
def test_a_few_blank_captions_are_counted_and_named(num_captions: int, num_blank: int) -> None:
    checker = CaptionChecker("a.json", 1000)

    checker.check("9.jpg", ["a"] * (num_captions - num_blank) + [""] * num_blank)

    assert checker.notes() == (f"a.json: blank captions, left out: {num_blank} (9.jpg)",)


@pytest.mark.parametrize(("num_captions", "num_blank"), [(5, 2), (199, 2), (299, 3)])
def test_more_than_one_in_a_hundred_is_an_error(num_captions: int, num_blank: int) -> None:
    checker = CaptionChecker("a.json", 1000)

    checker.check("9.jpg", ["a"] * (num_captions - num_blank) + [""] * num_blank)

    with pytest.raises(InputError, match=f"{num_blank} of {num_captions} captions are blank"):
        checker.notes()
