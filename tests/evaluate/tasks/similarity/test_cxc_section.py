import pytest

from openalign.evaluate.drawing.thumbnails import Thumbnail
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.tasks.similarity.cxc import SimilarImageQuery
from openalign.evaluate.tasks.similarity.cxc_section import show_similar_images

TILES = Tiles(
    "pets",
    {("pets", name): Thumbnail(caption=f"a {name}", webp=name.encode()) for name in "abcdef"},
)


@pytest.mark.parametrize(
    ("right", "marked", "answer"),
    [
        pytest.param(("c", "b"), [True, True, False], None, id="two of those found"),
        pytest.param(("f", "e"), [False, False, False], "a f", id="another"),
    ],
)
def test_every_similar_image_is_marked_or_one_is_shown_beside(
    right: tuple[str, ...], marked: list[bool], answer: str | None
) -> None:
    query = SimilarImageQuery(image="a", right=right, rank=1, first=("b", "c", "d"))

    shown = show_similar_images(query, TILES, 5)

    assert [tile.is_right for tile in shown.tiles] == marked
    assert (shown.answer.caption if shown.answer else None) == answer
    assert shown.start is not None
    assert shown.start.caption == "a a"
