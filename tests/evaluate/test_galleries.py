import pytest

from openalign.evaluate.examples import Caption, ComposedExample, ImageQuery, TextQuery, Thumbnail
from openalign.evaluate.galleries import Pictures

PICTURES = Pictures(
    "pets",
    {("pets", name): Thumbnail(caption=f"a {name}", webp=name.encode()) for name in "abcdef"},
)


def test_the_right_picture_is_marked_among_those_found() -> None:
    query = TextQuery(caption="a c", image="c", rank=3, first=("a", "b", "c", "d", "e"))

    shown = PICTURES.text_query(query, 194)

    assert [tile.is_right for tile in shown.tiles] == [False, False, True, False, False]
    assert [tile.caption for tile in shown.tiles] == ["a a", "a b", "a c", "a d", "a e"]
    assert (shown.is_found, shown.is_first, shown.answer) == (True, False, None)
    assert shown.place == "right one at place 3 of 194"
    assert shown.tiles[0].src == "data:image/webp;base64,YQ=="


def test_a_right_picture_that_was_not_found_is_shown_beside() -> None:
    query = TextQuery(caption="a f", image="f", rank=60, first=("a", "b", "c", "d", "e"))

    shown = PICTURES.text_query(query, 1194)

    assert not any(tile.is_right for tile in shown.tiles)
    assert not shown.is_found
    assert shown.answer is not None
    assert shown.answer.caption == "a f"
    assert shown.place == "right one at place 60 of 1,194"


@pytest.mark.parametrize(
    ("owner", "rank", "place", "answers"),
    [
        pytest.param("a", 1, "found first", (), id="its own caption first"),
        pytest.param("b", 7, "right one at place 7 of 20", ("a a", "the a"), id="another's"),
    ],
)
def test_a_pictures_own_captions_are_marked(
    owner: str, rank: int, place: str, answers: tuple[str, ...]
) -> None:
    first = (Caption(image=owner, text="one"), Caption(image="c", text="two"))
    query = ImageQuery(image="a", captions=("a a", "the a"), rank=rank, first=first)

    shown = PICTURES.image_query(query, 20)

    assert shown.captions == [("one", owner == "a"), ("two", False)]
    assert shown.place == place
    assert tuple(shown.answers) == answers


def test_a_composed_query_says_what_the_picture_alone_would_find() -> None:
    query = ComposedExample(
        image="a",
        minus="dark",
        plus="light",
        target="b",
        kind="tone",
        rank=1,
        image_only_rank=2000,
        first=("b", "c"),
    )

    shown = PICTURES.composed_query(query)

    assert shown.start is not None
    assert (shown.start.caption, shown.minus, shown.plus) == ("a a", "dark", "light")
    assert [tile.is_right for tile in shown.tiles] == [True, False]
    assert shown.place == "right one at place 1; for the picture alone at place 2,000"
