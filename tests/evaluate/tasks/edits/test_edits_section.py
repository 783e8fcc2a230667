"""Which edits are shown as failures."""

from openalign.evaluate.drawing.thumbnails import Thumbnail
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.tasks.edits.edits import EditExample, EditExamples
from openalign.evaluate.tasks.edits.edits_section import NUM_DRAWN, NUM_WORST, drawn_and_worst

NUM_QUERIES = 30
FIRST = ("a", "b", "c", "d", "e")


def queries(target: str, rank: int) -> EditExamples:
    return EditExamples(
        queries=tuple(
            EditExample(
                reference="start",
                text=f"text {at}",
                target=target,
                category="hat",
                rank=rank,
                image_only_rank=9,
                first=FIRST,
            )
            for at in range(NUM_QUERIES)
        )
    )


def tiles() -> Tiles:
    small = Thumbnail(caption="small", webp=b"x")
    return Tiles("hats", {("hats", name): small for name in (*FIRST, "start", "far")})


def test_what_is_not_among_those_shown_is_a_failure() -> None:
    drawn, worst = drawn_and_worst(queries("far", 20), "hat", tiles())

    assert (len(drawn), len(worst)) == (NUM_DRAWN, NUM_WORST)
    assert not any(query.is_found for query in worst)


def test_a_hit_at_the_fourth_place_is_none() -> None:
    drawn, worst = drawn_and_worst(queries("d", 4), "hat", tiles())

    assert len(drawn) == NUM_DRAWN
    assert worst == []
