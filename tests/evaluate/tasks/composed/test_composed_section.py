import pytest

from openalign.evaluate.drawing.thumbnails import Thumbnail
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.composed.composed import ComposedExample
from openalign.evaluate.tasks.composed.composed_section import show_composed_query, verdict

TILES = Tiles(
    "pets",
    {("pets", name): Thumbnail(caption=f"a {name}", webp=name.encode()) for name in "abcdef"},
)


@pytest.mark.parametrize(
    ("low", "high", "begins"),
    [
        pytest.param(0.01, 0.05, "The words help: top-1 gains", id="above zero"),
        pytest.param(0.0, 0.05, "No claim:", id="from zero"),
        pytest.param(-0.05, 0.0, "No claim:", id="up to zero"),
        pytest.param(-0.05, -0.01, "The words hurt:", id="below zero"),
    ],
)
def test_a_verdict_says_no_more_than_the_interval(low: float, high: float, begins: str) -> None:
    gain = Metric(name="gain", value=(low + high) / 2, low=low, high=high, n=10, chance=0.0)

    assert verdict(gain).startswith(begins)


def test_a_composed_query_says_what_the_image_alone_would_find() -> None:
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

    shown = show_composed_query(query, TILES)

    assert shown.start is not None
    assert (shown.start.caption, shown.minus, shown.plus) == ("a a", "dark", "light")
    assert [tile.is_right for tile in shown.tiles] == [True, False]
    assert shown.place == "right one at place 1; for the image alone at place 2,000"
