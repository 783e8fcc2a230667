"""Search in two dimensions, and over the files that `evaluate` writes."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from range_server import range_server

from openalign.errors import InputError
from openalign.evaluate.embedding.chunks import write_rows
from openalign.evaluate.metrics.vectors import Vectors
from openalign.evaluate.search.index import (
    Item,
    SearchIndex,
    folders_in,
    load_index,
    write_items,
)
from openalign.evaluate.search.query import Query, query_vector
from openalign.evaluate.search.searcher import Searcher
from openalign.files.names import embeddings_file
from openalign.train.data.preprocess import Preprocess, build_tokenizer, knows_none
from openalign.train.data.words import SPECIAL_TOKENS

EMBEDDINGS = embeddings_file("compass", "images")
HALF = float(np.sqrt(0.5))
WORDS = {"right": (1.0, 0.0), "up": (0.0, 1.0), "left": (-1.0, 0.0)}


class Compass:
    """Words and images are directions."""

    identity = "compass"

    def embed_texts(self, texts: Sequence[str], *, projected: bool = True) -> Vectors:
        assert projected
        return np.array([WORDS[text] for text in texts], dtype=np.float32)

    def embed_images(self, contents: Sequence[bytes]) -> Vectors:
        return self.embed_texts([content.decode() for content in contents])


INDEX = SearchIndex(
    items=[
        Item(
            key=f"compass/{name}",
            dataset="compass",
            path=f"{name}.png",
            caption=f"to {name}",
            row=row,
        )
        for row, name in enumerate(("east", "north", "northeast", "west"))
    ],
    image_GD=np.array([[1, 0], [0, 1], [HALF, HALF], [-1, 0]], dtype=np.float32),
    folders={"compass": "/images"},
)


def found(query: Query, image: bytes | None = None, k: int = 4) -> list[str]:
    hits = INDEX.nearest(query_vector(query, image, Compass()), k)
    return [hit.key.removeprefix("compass/") for hit in hits]


def test_words_find_what_points_their_way() -> None:
    assert found(Query(text="up"), k=2) == ["north", "northeast"]


def test_hits_carry_score_path_and_caption() -> None:
    hits = INDEX.nearest(query_vector(Query(text="up"), None, Compass()), 2)

    assert [(hit.score, hit.path, hit.caption) for hit in hits] == [
        (pytest.approx(1.0), "/images/north.png", "to north"),
        (pytest.approx(HALF), "/images/northeast.png", "to northeast"),
    ]


def test_an_image_plus_and_minus_words_by_the_papers_weights() -> None:
    # right + 2 up - 2 right = (-1, 2): north 0.89, west 0.45, northeast 0.32, east -0.45.
    query = Query(image="x", plus=("up",), minus=("right",))

    assert found(query, b"right") == ["north", "west", "northeast", "east"]
    np.testing.assert_allclose(
        query_vector(query, b"right", Compass()), np.array([-1, 2]) / np.sqrt(5), atol=1e-6
    )


def test_each_part_has_a_weight_of_its_own() -> None:
    # 3 right + 0.5 up - 4 left = (7, 0.5).
    query = Query(
        image="x",
        plus=("up",),
        minus=("left",),
        image_weight=3.0,
        plus_weight=0.5,
        minus_weight=4.0,
    )

    np.testing.assert_allclose(
        query_vector(query, b"right", Compass()), np.array([7, 0.5]) / np.sqrt(49.25), atol=1e-6
    )


def test_weights_change_the_order() -> None:
    # right + 0.5 up = (1, 0.5): northeast 0.95, east 0.89, north 0.45.
    query = Query(image="x", plus=("up",), plus_weight=0.5)

    assert found(query, b"right", k=3) == ["northeast", "east", "north"]


@pytest.mark.parametrize("large", [1e40, 1.7e308, 1e-40, 5e-324])
def test_weights_of_any_size_count_by_their_proportion(large: float) -> None:
    # large times (right + up) = (1, 1), and right + 0 up = (1, 0).
    both = Query(image="x", plus=("up",), image_weight=large, plus_weight=large)
    one = Query(image="x", plus=("up",), image_weight=large, plus_weight=0.0)

    np.testing.assert_allclose(query_vector(both, b"right", Compass()), [HALF, HALF], atol=1e-6)
    np.testing.assert_array_equal(query_vector(one, b"right", Compass()), [1, 0])


def test_words_beside_an_image_are_words_to_add() -> None:
    np.testing.assert_array_equal(
        query_vector(Query(image="x", text="up", plus_weight=0.7), b"right", Compass()),
        query_vector(Query(image="x", plus=("up",), plus_weight=0.7), b"right", Compass()),
    )


def test_words_alone_can_be_changed_too() -> None:
    # up - 2 right = (-2, 1).
    assert found(Query(text="up", minus=("right",)), k=2) == ["west", "north"]


def test_equal_scores_come_in_the_order_of_the_index() -> None:
    twice = SearchIndex(items=INDEX.items[:2], image_GD=INDEX.image_GD[[0, 0]], folders={})

    assert [hit.path for hit in twice.nearest(INDEX.image_GD[0], 2)] == ["east.png", "north.png"]


def test_the_image_that_lies_at_the_querys_path_is_left_out() -> None:
    hits = INDEX.nearest(INDEX.image_GD[0], 2, without="/images/east.png")

    assert [hit.key for hit in hits] == ["compass/northeast", "compass/north"]


@pytest.mark.parametrize("spelled", ["absolute", "from here", "over another folder"])
@pytest.mark.parametrize("asked", ["absolute", "from here", "over another folder"])
def test_a_path_is_the_same_however_it_is_spelled(
    spelled: str, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {
        "absolute": f"{tmp_path}/here",
        "from here": "here",
        "over another folder": "x/../here",
    }
    first = replace(INDEX.items[0], dataset="first")
    index = replace(
        INDEX,
        items=[*INDEX.items[1:], first],
        image_GD=np.roll(INDEX.image_GD, -1, axis=0),
        folders={"compass": "/images", "first": folders[spelled]},
    )

    hits = index.nearest(INDEX.image_GD[0], 2, without=f"{folders[asked]}/east.png")

    assert [hit.key for hit in hits] == ["compass/northeast", "compass/north"]


@pytest.mark.parametrize("folder", ["../images", "images", "/images", "memory://images"])
def test_where_images_lay_is_known_from_the_same_place(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_items("runs/mine/evaluate", INDEX.items, {"compass": folder, "own": "runs/mine/images"})
    Path("runs/mine").rename("moved")

    assert folders_in("moved/evaluate") == {"compass": folder, "own": "moved/images"}


@pytest.mark.parametrize("weight", [0.0, 1.0, 1e40])
def test_parts_that_cancel_are_refused(weight: float) -> None:
    query = Query(text="right", plus=("left",), image_weight=weight, plus_weight=weight)

    with pytest.raises(InputError, match="cancel each other out"):
        query_vector(query, None, Compass())


@pytest.mark.parametrize(
    "parts",
    [{}, {"text": "  "}, {"plus": ("",)}],
    ids=["nothing", "blank", "blank plus"],
)
def test_an_empty_query_is_refused_with_an_example(parts: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="the query is empty") as caught:
        Query(**parts)

    assert caught.value.hint == 'give words, for example "red apple", or --image FILE'


@pytest.mark.parametrize("part", ["image_weight", "plus_weight", "minus_weight"])
@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_no_weight_is_refused(part: str, weight: float) -> None:
    with pytest.raises(InputError, match="a weight must be 0 or more"):
        replace(Query(text="a"), **{part: weight})


def write_index(folder: Path, num_rows: int = 4) -> str:
    output = str(folder / "evaluate")
    write_rows(f"{output}/{EMBEDDINGS}", INDEX.image_GD[:num_rows])
    write_items(output, INDEX.items, {"compass": str(folder / "site" / "images")})
    return output


def test_the_index_is_read_back_and_moves_with_its_run(tmp_path: Path) -> None:
    before = tmp_path / "before"
    write_index(before)
    after = before.rename(tmp_path / "after")

    index = load_index(str(after / "evaluate"))

    np.testing.assert_array_equal(index.image_GD, INDEX.image_GD)
    assert list(index.items) == list(INDEX.items)
    assert index.path(index.items[0]) == f"{after}/site/images/east.png"


def test_where_the_caller_says_the_images_lie_wins(tmp_path: Path) -> None:
    index = load_index(write_index(tmp_path), {"compass": "/moved", "another": "/unused"})

    assert index.path(index.items[0]) == "/moved/east.png"


def test_no_data_file_of_the_index_knows_where_the_images_lie(tmp_path: Path) -> None:
    first, second = (
        write_items(str(tmp_path / name), INDEX.items, {"compass": f"/somewhere/{name}"})
        for name in ("a", "b")
    )

    assert first == second
    assert load_folders(tmp_path / "a") == "/somewhere/a"


def load_folders(folder: Path) -> str:
    write_rows(f"{folder}/{EMBEDDINGS}", INDEX.image_GD)
    return load_index(str(folder)).folders["compass"]


def test_an_index_keeps_what_the_data_set_calls_its_images(tmp_path: Path) -> None:
    index = load_index(write_index(tmp_path))

    assert index.items == INDEX.items


def test_an_index_that_does_not_fit_its_embeddings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lists compass/west, which has no embedding"):
        load_index(write_index(tmp_path, num_rows=3))


@pytest.mark.parametrize("damage", ["cut", "zeros", "another sort"])
def test_a_damaged_list_of_images_is_named_with_a_way_out(damage: str, tmp_path: Path) -> None:
    folder = write_index(tmp_path)
    file = Path(folder, "search", "items.parquet")
    content = file.read_bytes()
    if damage == "another sort":
        pq.write_table(pa.table({"key": ["compass/east"]}), file)
    else:
        file.write_bytes(content[:-9] if damage == "cut" else bytes(len(content)))

    with pytest.raises(InputError, match=r"items\.parquet: is not a list of images") as caught:
        load_index(folder)

    assert caught.value.hint == f"remove {file} and run `openalign evaluate` again"


def test_a_damaged_list_of_folders_is_named_with_a_way_out(tmp_path: Path) -> None:
    folder = write_index(tmp_path)
    Path(folder, "search", "folders.json").write_text('{"compass": ')

    with pytest.raises(InputError, match=r"folders\.json: is not a list of folders") as caught:
        load_index(folder)

    assert (caught.value.hint or "").startswith("remove it")
    Path(folder, "search", "folders.json").unlink()
    assert load_index(folder, {"compass": "/here"}).folders == {"compass": "/here"}


@pytest.mark.parametrize(
    ("value", "told"), [(1.01, "1.01"), (-4e36, "-4e+36"), (np.nan, "nan"), (-np.inf, "-inf")]
)
def test_a_cosine_that_is_none_is_told_with_its_image(value: float, told: str) -> None:
    images = INDEX.image_GD.copy()
    images[2, 1] = value

    with pytest.raises(InputError, match="compass/northeast has the cosine") as caught:
        replace(INDEX, image_GD=images).nearest(np.array([0, 1], dtype=np.float32), 1)

    assert told in str(caught.value)
    assert f"remove {EMBEDDINGS} in the evaluation" in (caught.value.hint or "")


def test_the_last_digits_of_a_cosine_may_be_above_1() -> None:
    hits = replace(INDEX, image_GD=INDEX.image_GD * np.float32(1.0001)).nearest(
        np.array([0, 1], dtype=np.float32), 1
    )

    assert hits[0].key == "compass/north"


SEARCHER = Searcher(index=INDEX, embedder=Compass())


def test_a_searcher_answers_one_query_after_another() -> None:
    assert [hit.key for hit in SEARCHER.find(Query(text="up"), 2)] == [
        "compass/north",
        "compass/northeast",
    ]
    assert [hit.key for hit in SEARCHER.find(Query(text="left"), 1)] == ["compass/west"]


@pytest.mark.parametrize("parts", [{"text": "кот"}, {"text": "up", "minus": ("кот",)}])
def test_words_of_which_the_model_knows_none_are_refused(parts: dict[str, Any]) -> None:
    vocabulary = [*SPECIAL_TOKENS, "up", "left"]
    tokenizer = build_tokenizer(vocabulary, Preprocess())
    searcher = replace(SEARCHER, is_unknown=partial(knows_none, tokenizer))

    assert [hit.key for hit in searcher.find(Query(text="up"), 1)] == ["compass/north"]
    assert not knows_none(tokenizer, "кот up")
    with pytest.raises(InputError, match="the model knows no word of 'кот'"):
        searcher.find(Query(**parts), 1)


@pytest.mark.parametrize("text", ["\u200b", "\u0301", "\x00"])
@pytest.mark.parametrize("length", [None, 64], ids=["bare", "padded"])
def test_a_text_without_a_token_is_refused(text: str, length: int | None) -> None:
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, "up", "left"], Preprocess())
    tokenizer.enable_padding(length=length)
    searcher = replace(SEARCHER, is_unknown=partial(knows_none, tokenizer))

    with pytest.raises(InputError, match="the model knows no word of "):
        searcher.find(Query(text=text), 1)
    assert [hit.key for hit in searcher.find(Query(text="up", minus=(" ",)), 1)] == [
        "compass/north"
    ]


@pytest.mark.parametrize("parts", [{"text": "caf\udce9"}, {"text": "up", "plus": ("\udcff",)}])
def test_words_that_are_not_utf_8_are_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"the query '.*\\udc..' is not UTF-8"):
        Query(**parts)


@pytest.mark.parametrize("status", ["503", "refused"])
def test_a_query_image_that_a_server_does_not_send_is_told(status: str, tmp_path: Path) -> None:
    with range_server(tmp_path) as server:
        server.failures_left = 9
        url = f"{server.url}/a.png"
        if status == "503":
            with pytest.raises(InputError, match=r"a\.png cannot be read: ClientResponse.*503"):
                SEARCHER.find(Query(image=url), 1)
            return

    with pytest.raises(InputError, match=r"a\.png cannot be read: ClientConnector") as caught:
        SEARCHER.find(Query(image=url), 1)
    assert (caught.value.hint or "").startswith("see that the name, the network")


def test_fewer_images_than_asked_for_are_all_found() -> None:
    every = SEARCHER.find(Query(text="up"), 4)

    assert len(every) == 4
    assert SEARCHER.find(Query(text="up"), 5) == SEARCHER.find(Query(text="up"), 10**9) == every


def test_no_image_at_all_is_no_question() -> None:
    with pytest.raises(InputError, match="k must be 1 or more, got 0"):
        SEARCHER.find(Query(text="up"), 0)


def test_a_query_image_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png cannot be read"):
        SEARCHER.find(Query(image=str(tmp_path / "gone.png")), 1)


def test_a_folder_without_an_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"items\.parquet cannot be read"):
        Searcher.open(str(tmp_path), model="unused")


def test_an_index_without_images_is_refused(tmp_path: Path) -> None:
    write_items(str(tmp_path), [], {})

    with pytest.raises(InputError, match="no image was embedded, so there is none to find"):
        load_index(str(tmp_path))
