import pytest

from openalign.evaluate.drawing.thumbnails import Thumbnail
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.tasks.retrieval.retrieval import FoundCaption, ImageQuery, TextQuery
from openalign.evaluate.tasks.retrieval.retrieval_section import show_image_query, show_text_query

TILES = Tiles(
    "pets",
    {("pets", name): Thumbnail(caption=f"a {name}", webp=name.encode()) for name in "abcdef"},
)


def test_the_right_image_is_marked_among_those_found() -> None:
    query = TextQuery(caption="a c", image="c", rank=3, first=("a", "b", "c", "d", "e"))

    shown = show_text_query(query, TILES, 194)

    assert [tile.is_right for tile in shown.tiles] == [False, False, True, False, False]
    assert [tile.caption for tile in shown.tiles] == ["a a", "a b", "a c", "a d", "a e"]
    assert (shown.is_found, shown.is_first, shown.answer) == (True, False, None)
    assert shown.place == "right one at place 3 of 194"
    assert shown.tiles[0].src == "data:image/webp;base64,YQ=="


def test_a_right_image_that_was_not_found_is_shown_beside() -> None:
    query = TextQuery(caption="a f", image="f", rank=60, first=("a", "b", "c", "d", "e"))

    shown = show_text_query(query, TILES, 1194)

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
def test_an_images_own_captions_are_marked(
    owner: str, rank: int, place: str, answers: tuple[str, ...]
) -> None:
    first = (FoundCaption(image=owner, text="one"), FoundCaption(image="c", text="two"))
    query = ImageQuery(image="a", captions=("a a", "the a"), rank=rank, first=first)

    shown = show_image_query(query, TILES, 20)

    assert shown.captions == [("one", owner == "a"), ("two", False)]
    assert shown.place == place
    assert tuple(shown.answers) == answers
