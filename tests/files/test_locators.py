import pytest

from openalign.files.locators import Locator, url_of_bytes


@pytest.mark.parametrize(
    ("locator", "text"),
    [
        (Locator("a.tar", 512, 7), "a.tar#512+7"),
        (Locator("in/a#1+2.jpg", 0, 0), "in/a#1+2.jpg#0+0"),
        (Locator("line\nend.jpg", 0, 12), "line\nend.jpg#0+12"),
    ],
    ids=["plain", "a name that looks like one", "a name of two lines"],
)
def test_a_locator_is_text_and_back(locator: Locator, text: str) -> None:
    assert str(locator) == text
    assert Locator.parse(text) == locator


def test_locators_are_in_the_order_in_which_images_lie() -> None:
    lie = [Locator("b.tar", 0, 1), Locator("a.tar", 1024, 1), Locator("a.tar", 512, 9)]

    assert [str(each) for each in sorted(lie)] == ["a.tar#512+9", "a.tar#1024+1", "b.tar#0+1"]


def test_bytes_are_named_without_padding() -> None:
    # sha256 of nothing, whose base64url form has `_` and `-`, and a `=` that RFC 6920 leaves out.
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    assert url_of_bytes(empty) == "ni:///sha-256;47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
