import json
from pathlib import Path
from typing import Any

import pytest
from dataset_identity import identity_of
from miniature_images import write_images

from openalign.errors import InputError
from openalign.evaluate.datasets.edits.cirr import KIND, CirrDataset
from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset, EditQuery

PATHS = {f"dev-{n}-0-img0": f"./dev/dev-{n}-0-img0.png" for n in (244, 63, 1028, 430)}
MEMBERS = ["dev-430-0-img0", "dev-63-0-img0", "dev-244-0-img0"]
QUERIES: list[dict[str, Any]] = [
    {
        "pairid": 12060,
        "reference": "dev-244-0-img0",
        "target_hard": "dev-63-0-img0",
        "target_soft": {"dev-63-0-img0": 1.0, "dev-430-0-img0": -1.0},
        "caption": " show three bottles ",
        "img_set": {"id": 36, "members": MEMBERS, "reference_rank": 2, "target_rank": 3},
    },
    {
        "pairid": 12061,
        "reference": "dev-63-0-img0",
        "caption": "mirror the image",
        "img_set": {"id": 36, "members": MEMBERS, "reference_rank": 4},
    },
]


def write(folder: Path, queries: Any = QUERIES, paths: Any = PATHS, split: str = "val") -> None:
    for name, content in (
        (f"captions/cap.rc2.{split}", queries),
        (f"image_splits/split.rc2.{split}", paths),
    ):
        file = folder / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))


def read(path: Path, **settings: Any) -> ComposedDataset:
    dataset = KIND.read(CirrDataset(path=str(path), **settings))
    assert isinstance(dataset, ComposedDataset)
    return dataset


def test_queries_name_images_by_their_places(tmp_path: Path) -> None:
    write(tmp_path)

    dataset = read(tmp_path)

    assert [image.name for image in dataset.images] == [
        "dev/dev-244-0-img0.png",
        "dev/dev-63-0-img0.png",
        "dev/dev-1028-0-img0.png",
        "dev/dev-430-0-img0.png",
    ]
    assert dataset.queries == [
        EditQuery(
            id="12060", reference=0, target=1, captions=("show three bottles",), group=(3, 1, 0)
        ),
        EditQuery(
            id="12061", reference=1, target=None, captions=("mirror the image",), group=(3, 1, 0)
        ),
    ]
    assert dataset.galleries == {"": (0, 1, 2, 3)}
    assert (dataset.splits, dataset.test_split) == (("val",), "val")


def test_another_split_is_another_pair_of_files(tmp_path: Path) -> None:
    write(tmp_path, split="test1", queries=QUERIES[1:])

    assert [query.target for query in read(tmp_path, split="test1").queries] == [None]
    with pytest.raises(InputError, match=r"split\.rc2\.val\.json cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize("place", ["img_raw", "images", "", "../img_raw"])
def test_images_are_found_near_the_queries(tmp_path: Path, place: str) -> None:
    write(tmp_path / "cirr")
    write_images(tmp_path / "cirr" / place, "dev/dev-244-0-img0.png")

    assert read(tmp_path / "cirr").images[0].place.read()[:2] == b"\xff\xd8"


def test_queries_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "cirr")
    write_images(tmp_path, "dev/dev-244-0-img0.png")

    assert KIND.image_folder(CirrDataset(path=str(tmp_path))) == str(tmp_path)
    assert len(read(tmp_path).queries) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"reference": "dev-1"}, "query 0: dev-1 is not among", id="reference"),
        pytest.param({"target_hard": "dev-1"}, "query 0: dev-1 is not among", id="target"),
        pytest.param({"img_set": {"members": ["x"]}}, "query 0: x is not among", id="group"),
        pytest.param({"caption": " "}, "query 0: its caption is blank", id="blank"),
        pytest.param(
            {"caption": None}, r"entry 0: Expected `str`, .*`\$\[0\]\.caption`", id="null"
        ),
        pytest.param({"pairid": 12061}, "query 1: 12061 is query 0 too", id="twice"),
        pytest.param({"img_set": {}}, "entry 0: Object missing required field `members`", id="set"),
    ],
)
def test_a_broken_query_is_refused_by_its_number(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    write(tmp_path, [QUERIES[0] | change, QUERIES[1]])

    with pytest.raises(InputError, match=r"cap\.rc2\.val\.json: " + message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        pytest.param({}, "has no images", id="none"),
        pytest.param({"a": "../a.png"}, "`a` must stay inside the folder", id="outside"),
        pytest.param({"a": "./a.png", "b": "a.png"}, "image 1: a.png is image 0 too", id="twice"),
        pytest.param(["a"], "Expected `object`, got `array`", id="a list"),
    ],
)
def test_a_broken_list_of_images_is_refused(tmp_path: Path, paths: Any, message: str) -> None:
    write(tmp_path, paths=paths)

    with pytest.raises(InputError, match=r"split\.rc2\.val\.json: " + message):
        read(tmp_path)


def test_no_queries_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [])

    with pytest.raises(InputError, match=r"cap\.rc2\.val\.json: has no queries"):
        read(tmp_path)


def test_its_folder_is_recognized(tmp_path: Path) -> None:
    write(tmp_path / "cirr")

    for path in (str(tmp_path), f"{tmp_path}/cirr"):
        assert KIND.recognize("cirr", path) == CirrDataset(path=path)
    assert KIND.recognize("cirr", f"{tmp_path}/cirr/captions") is None


def test_its_fingerprint_is_that_of_what_it_holds(tmp_path: Path) -> None:
    for name, queries in (("a", QUERIES), ("b", QUERIES), ("c", QUERIES[:1])):
        write(tmp_path / name, queries)
        write_images(tmp_path / name, *PATHS.values())

    a, b, c = (identity_of(KIND, CirrDataset(path=f"{tmp_path}/{name}")) for name in "abc")

    assert a == b
    assert a != c
