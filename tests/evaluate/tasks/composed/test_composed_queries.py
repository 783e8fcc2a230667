import json
from pathlib import Path

import pytest

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.tasks.composed.composed_queries import ComposedQuery, read_queries, words_of


def images_called(*names: str) -> list[BenchmarkImage]:
    return [BenchmarkImage(name=n, split="test", place=ImageFile("images", n)) for n in names]


IMAGES = images_called("right.png", "up.png", "between.png", "left.png")


def written(folder: Path, content: object) -> str:
    path = folder / "composed.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_a_query_may_lack_one_of_its_texts_and_its_kind(tmp_path: Path) -> None:
    entry = {"image": "right.png", "plus": "up", "target": "up.png"}

    (found,) = read_queries(written(tmp_path, {"queries": [entry]}), IMAGES)

    assert found == ComposedQuery(
        image="right.png", minus="", plus="up", target="up.png", kind="all"
    )


GOOD = {"image": "right.png", "minus": "right", "plus": "up", "target": "up.png", "kind": "turn"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param([], "Expected `object`, got `array`", id="a list"),
        pytest.param(
            {"queries": []}, r"Expected `array` of length >= 1 - at `\$\.queries`", id="empty"
        ),
        pytest.param(
            {"queries": [GOOD, 1]}, "query 1: Expected `object`, got `int`", id="a number"
        ),
        pytest.param(
            {"queries": [GOOD | {"image": "down.png"}]},
            "query 0: `image` down.png is not an image of the benchmark",
            id="unknown image",
        ),
        pytest.param(
            {"queries": [GOOD | {"plus": 3}]},
            r"query 0: Expected `str`, got `int` - at `\$\.queries\[0\]\.plus`",
            id="type",
        ),
        pytest.param(
            {"queries": [{k: v for k, v in GOOD.items() if k != "target"}]},
            "query 0: Object missing required field `target`",
            id="no target",
        ),
        pytest.param(
            {"queries": [GOOD | {"target": "right.png"}]},
            "`target` is the query image",
            id="target is the query",
        ),
        pytest.param(
            {"queries": [GOOD | {"plus": " ", "minus": ""}]}, "are both empty", id="no words"
        ),
        pytest.param(
            {"queries": [GOOD, GOOD | {"kind": "a/b"}]},
            "query 1: `kind` must be printable characters without `/`, got 'a/b'",
            id="a slash",
        ),
        pytest.param(
            {"queries": [GOOD | {"kind": "a\nb"}]}, r"without `/`, got 'a\\nb'", id="a line break"
        ),
        pytest.param(
            {"queries": [GOOD | {"kind": "a\u202eb"}]}, r"got 'a\\u202eb'", id="turned direction"
        ),
        pytest.param(
            {"queries": [GOOD | {"kind": "x" * 81}]},
            "`kind` must have at most 80 characters, got 81",
            id="long",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_where(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_queries(written(tmp_path, content), IMAGES)


@pytest.mark.parametrize(
    ("kind", "read_as"),
    [
        pytest.param("  ", "all", id="blank"),
        pytest.param(" skin tone ", "skin tone", id="spaces around"),
        pytest.param("x" * 80, "x" * 80, id="as long as may be"),
        pytest.param("couleur d'été | *#<b>", "couleur d'été | *#<b>", id="odd characters"),
    ],
)
def test_a_kind_is_any_short_line_without_a_slash(tmp_path: Path, kind: str, read_as: str) -> None:
    (found,) = read_queries(written(tmp_path, {"queries": [GOOD | {"kind": kind}]}), IMAGES)

    assert found.kind == read_as


def test_half_of_a_character_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "composed.json"
    path.write_text(json.dumps({"queries": [GOOD]}).replace("turn", "\\ud800"))

    with pytest.raises(InputError, match=r"is not JSON|query 0"):
        read_queries(str(path), IMAGES)


def test_queries_about_images_that_are_left_out_are_dropped(tmp_path: Path) -> None:
    entries = [
        GOOD,
        GOOD | {"image": "left.png"},
        GOOD | {"target": "down/below.png"},
        GOOD | {"target": "below.png"},
    ]
    path = written(tmp_path, {"queries": entries})

    found = read_queries(path, IMAGES[:3], left_out={"left.png", "down/below.png"})

    assert [(query.image, query.target) for query in found] == [("right.png", "up.png")]
    with pytest.raises(InputError, match=r"query 1: `image` left\.png is not an image"):
        read_queries(path, IMAGES[:3], left_out={"down/below.png"})


def test_queries_of_which_none_is_left_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"queries": [GOOD]})

    with pytest.raises(InputError, match="every query is about an image that is left out"):
        read_queries(path, IMAGES[1:], left_out={"right.png"})


def test_a_word_of_two_queries_is_embedded_once() -> None:
    queries = [
        ComposedQuery(image="a", target="b", minus="dark", plus="light"),
        ComposedQuery(image="b", target="a", minus="light"),
    ]

    assert words_of(queries) == ["dark", "light"]


def test_a_file_name_is_enough_where_only_one_image_has_it(tmp_path: Path) -> None:
    images = images_called("val2014/1.jpg", "val2014/2.jpg", "train2014/2.jpg")
    entry = {"image": "1.jpg", "plus": "up", "target": "train2014/2.jpg"}

    (found,) = read_queries(written(tmp_path, {"queries": [entry]}), images)

    assert (found.image, found.target) == ("val2014/1.jpg", "train2014/2.jpg")
    with pytest.raises(InputError, match=r"`target` 2\.jpg is not an image of the benchmark"):
        read_queries(written(tmp_path, {"queries": [entry | {"target": "2.jpg"}]}), images)
