import json
from pathlib import Path
from typing import Any

import pytest
from dataset_identity import identity_of
from miniature_images import write_images

from openalign.errors import InputError
from openalign.evaluate.datasets.ratings.cxc import KIND, CxcSettings
from openalign.evaluate.datasets.ratings.cxc_ratings import CxcDataset, RatedPair

A, B, C = (f"COCO_val2014_00000000000{n}.jpg" for n in (1, 2, 3))
CAPTION = "COCO_val2014:sentid:"
RATINGS = {
    "sis": [
        "image1,image2,agg_score,sampling_method",
        f"{A},{B},3.6,i2i_csim",
        f"{B},{A},0.0,i2i_csim",
    ],
    "sits": [
        "caption,image,agg_score,sampling_method",
        f"{CAPTION}70,{A},5.0,c2i_original",
        f"{CAPTION}21,{A},2.2,c2i_intrasim",
    ],
    "sts": [
        "caption1,caption2,agg_score,sampling_method",
        f"{CAPTION}70,{CAPTION}71,4.23,c2c_cocaption",
        f"{CAPTION}20,{CAPTION}70,1.56,c2c_isim",
    ],
}


def karpathy() -> dict[str, Any]:
    def image(name: str, split: str, *ids: int) -> dict[str, Any]:
        sentences = [{"raw": f"caption {number}", "sentid": number} for number in ids]
        return {"filename": name, "filepath": "val2014", "split": split, "sentences": sentences}

    return {
        "images": [
            image(C, "val", 1, 2),
            image(B, "test", 20, 21, 22, 23, 24, 25),  # the sixth is not of Crisscrossed Captions
            image(A, "test", 70, 71),
        ]
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name, lines in RATINGS.items():
        (tmp_path / "data" / f"{name}_test.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "dataset_coco.json").write_text(json.dumps(karpathy()))
    write_images(tmp_path / "val2014", A, B, C)
    return tmp_path


def read(path: Path, **settings: Any) -> CxcDataset:
    dataset = KIND.read(CxcSettings(path=str(path), **settings))
    assert isinstance(dataset, CxcDataset)
    return dataset


def pair(first: int, second: int, score: float, method: str) -> RatedPair:
    return RatedPair(first=first, second=second, score=score, method=method)


def test_ratings_name_images_and_captions_by_their_places(folder: Path) -> None:
    dataset = read(folder)

    assert [image.name for image in dataset.images] == [f"val2014/{B}", f"val2014/{A}"]
    captions = [caption for image in dataset.images for caption in image.captions]
    assert captions == [f"caption {n}" for n in (20, 21, 22, 23, 24, 70, 71)]
    assert dataset.image_pairs == [pair(1, 0, 3.6, "i2i_csim"), pair(0, 1, 0.0, "i2i_csim")]
    assert dataset.caption_image_pairs == [
        pair(5, 1, 5.0, "c2i_original"),
        pair(1, 1, 2.2, "c2i_intrasim"),
    ]
    assert dataset.caption_pairs == [
        pair(5, 6, 4.23, "c2c_cocaption"),
        pair(0, 5, 1.56, "c2c_isim"),
    ]
    assert dataset.splits == ("test",)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_folder_of_the_files_and_windows_line_ends_are_the_same(folder: Path, end: str) -> None:
    for name, lines in RATINGS.items():
        text = "\ufeff" + "\n".join(lines)
        (folder / "data" / f"{name}_test.csv").write_text(text, newline=end)

    found = read(folder / "data", karpathy=f"{folder}/dataset_coco.json")

    assert found.caption_pairs == read(folder).caption_pairs


def test_the_captions_may_lie_beside_the_folder(folder: Path) -> None:
    assert read(folder / "data").image_pairs == read(folder).image_pairs


def test_images_are_found_near_the_captions(folder: Path) -> None:
    assert read(folder).images[0].place.file == f"{folder}/val2014/{B}"
    assert KIND.image_folder(CxcSettings(path=str(folder))) == str(folder)
    assert KIND.image_folder(CxcSettings(path=str(folder), images="/coco")) == "/coco"


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        pytest.param("sis", f"{A},{C},1,i2i_csim", f"sis_test.csv:4: {C} is not in", id="image"),
        pytest.param(
            "sits", f"{CAPTION}25,{A},1,x", "sits_test.csv:4: .*:25 is not in", id="sixth"
        ),
        pytest.param("sts", f"{CAPTION}70,{A},1,x", f"sts_test.csv:4: {A} is not in", id="mixed"),
        pytest.param("sis", f"{A},{B},5.01,x", "sis_test.csv:4: agg_score must be", id="too high"),
        pytest.param("sis", f"{A},{B},nan,x", "sis_test.csv:4: agg_score must be", id="NaN"),
        pytest.param("sis", f"{A},{B},,x", "sis_test.csv:4: agg_score must be", id="no score"),
        pytest.param("sis", f"{A},{B},1", "sis_test.csv:4: has 3 cells, .* has 4", id="cells"),
    ],
)
def test_a_broken_line_is_refused_with_its_number(
    folder: Path, name: str, line: str, message: str
) -> None:
    with (folder / "data" / f"{name}_test.csv").open("a") as file:
        file.write(line + "\n")

    with pytest.raises(InputError, match=message):
        read(folder)


def test_other_columns_or_no_pairs_are_refused(folder: Path) -> None:
    (folder / "data" / "sis_test.csv").write_text("image1,image2,score\n")
    with pytest.raises(
        InputError, match=r"sis_test\.csv:1: has no column agg_score, sampling_method"
    ):
        read(folder)
    (folder / "data" / "sis_test.csv").write_text(RATINGS["sis"][0] + "\n")
    with pytest.raises(InputError, match=r"sis_test\.csv: has no pairs"):
        read(folder)


def test_a_missing_file_or_split_is_refused(folder: Path) -> None:
    (folder / "data" / "sts_test.csv").unlink()
    with pytest.raises(InputError, match=r"sts_test\.csv cannot be read"):
        read(folder)
    (folder / "dataset_coco.json").write_text(json.dumps({"images": karpathy()["images"][:1]}))
    with pytest.raises(InputError, match="no image is in split `test`"):
        read(folder)
    (folder / "dataset_coco.json").unlink()
    with pytest.raises(InputError, match=r"dataset_coco\.json: there is no such file, and") as got:
        read(folder)
    assert "--set benchmarks.NAME.karpathy=FILE" in (got.value.hint or "")


def test_captions_without_ids_are_refused(folder: Path) -> None:
    content = karpathy()
    for image in content["images"]:
        for sentence in image["sentences"]:
            del sentence["sentid"]
    (folder / "dataset_coco.json").write_text(json.dumps(content))

    with pytest.raises(InputError, match="captions of split `test` have no `sentid`"):
        read(folder)


def test_a_clone_is_recognized(folder: Path) -> None:
    assert KIND.recognize("cxc", str(folder)) == CxcSettings(path=str(folder))
    assert KIND.recognize("cxc", f"{folder}/data") == CxcSettings(path=f"{folder}/data")
    assert KIND.recognize("cxc", f"{folder}/val2014") is None
    (folder / "data" / "sts_test.csv").unlink()
    assert KIND.recognize("cxc", str(folder)) is None


def test_its_fingerprint_depends_on_the_ratings(folder: Path) -> None:
    before = identity_of(KIND, CxcSettings(path=str(folder)))
    same = identity_of(KIND, CxcSettings(path=f"{folder}/data"))
    with (folder / "data" / "sis_test.csv").open("a") as file:
        file.write(f"{A},{B},1.5,i2i_csim\n")

    assert before == same
    assert before != identity_of(KIND, CxcSettings(path=str(folder)))
