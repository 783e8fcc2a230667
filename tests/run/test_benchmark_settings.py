"""`benchmarks:` are said once; tasks and held-out sets name them."""

import json
from pathlib import Path

import pytest
from PIL import Image

from openalign.errors import ConfigError, InputError
from openalign.files import storage
from openalign.run import inputs
from openalign.run.config import PipelineConfig, load_pipeline
from openalign.settings.fields import identity

PIPELINE = """\
pairs:
  root: FOLDER/run
  harvest:
    source: {kind: table, path: a.csv}
  benchmarks:
    coco: {kind: karpathy, path: FOLDER/dataset.json}
    flickr: {kind: karpathy, path: FOLDER/dataset.json, max_captions: 1}
  select:
    held_out:
      - {benchmark: coco, splits: [val]}
  evaluate:
    tasks:
      - {kind: retrieval, benchmark: flickr, split: val}
      - {kind: composed, benchmark: flickr, path: FOLDER/composed.json}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = []
    for name, split in (("a.jpg", "val"), ("b.jpg", "train")):
        Image.new("RGB", (20, 20), "red" if split == "val" else "blue").save(tmp_path / name)
        images.append({"filename": name, "split": split, "sentences": [{"raw": "a"}]})
    (tmp_path / "dataset.json").write_text(json.dumps({"images": images}))
    query = {"image": "a.jpg", "plus": "blue", "target": "b.jpg"}
    (tmp_path / "composed.json").write_text(json.dumps({"queries": [query]}))
    return tmp_path


def load(folder: Path, *changes: tuple[str, str]) -> PipelineConfig:
    text = PIPELINE.replace("FOLDER", str(folder))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "p.yaml").write_text(text)
    return load_pipeline(str(folder / "p.yaml"), "pairs")


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        pytest.param(
            "benchmark: flickr, split",
            "benchmark: flick, split",
            r"p.yaml:13: `evaluate.tasks\[0\].benchmark` must be one of coco, flickr, got 'flick'",
            "did you mean `flickr`?",
            id="a task's",
        ),
        pytest.param(
            "benchmark: coco",
            "benchmark: imagenet",
            r"p.yaml:10: `select.held_out\[0\].benchmark` must be one of coco, flickr, got 'imag",
            "name the data set under `benchmarks:`, as imagenet: {kind: karpathy, ...}",
            id="a held-out set's",
        ),
        pytest.param(
            "    coco: {",
            "    COCO: {",
            "p.yaml:6: `benchmarks.COCO`: name must be lower-case letters",
            None,
            id="its own",
        ),
    ],
)
def test_a_name_that_is_wrong_is_an_error_with_its_line(
    folder: Path, old: str, new: str, message: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(folder, (old, new))

    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("old", "new", "key", "hint"),
    [
        pytest.param(
            "{benchmark: coco, ", "{path: a.json, ", r"select.held_out\[0\].path", "benchmark: NAME"
        ),
        pytest.param(
            "{benchmark: coco, ", "{images: a, ", r"select.held_out\[0\].images", "benchmark: NAME"
        ),
        pytest.param("max_captions: 1", "split: test", "benchmarks.flickr.split", "evaluate.tasks"),
        pytest.param("max_captions: 1", "name: a", "benchmarks.flickr.name", "the key under"),
        pytest.param("    tasks:", "    datasets:", "evaluate.datasets", "evaluate.tasks"),
    ],
    ids=lambda value: value if "." in value and "{" not in value else "",
)
def test_an_old_key_is_an_error_that_names_the_new_one(
    folder: Path, old: str, new: str, key: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=f"`{key}` is no longer a setting") as caught:
        load(folder, (old, new))

    assert hint in str(caught.value.hint)


def test_only_splits_that_are_held_out_are_fingerprinted(folder: Path) -> None:
    found = inputs.held_out_images(load(folder)).to_pylist()

    assert [(row["name"], row["split"]) for row in found] == [("a.jpg", "val")]
    assert found[0]["sha256"] == storage.sha256_of(f"{folder}/a.jpg")


def test_a_held_out_split_that_is_not_there_is_named(folder: Path) -> None:
    config = load(folder, ("splits: [val]", "splits: [dev]"))

    with pytest.raises(InputError, match="benchmark `coco`: no image is in split `dev`") as caught:
        inputs.held_out_images(config)

    assert caught.value.hint == "splits are: val, train"


def test_images_of_splits_that_are_not_held_out_need_not_be_there(folder: Path) -> None:
    config = load(folder)
    before = inputs.of_select(config)

    (folder / "b.jpg").unlink()

    assert inputs.of_select(config) == before
    assert inputs.held_out_images(config).num_rows == 1


def test_a_held_out_image_that_is_missing_is_named(folder: Path) -> None:
    config = load(folder, ("splits: [val]", "splits: [val, train]"))
    (folder / "b.jpg").unlink()

    with pytest.raises(InputError, match="lacks 1 of the 2 images that are needed") as caught:
        inputs.of_select(config)

    assert f"{folder}/b.jpg" in str(caught.value)
    assert "cannot be kept out of training" in str(caught.value.hint)


def test_inputs_are_what_benchmarks_and_tasks_hold_and_not_where_it_lies(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    here = load(folder)
    for name in ("a.jpg", "b.jpg", "dataset.json", "composed.json"):
        (elsewhere / name).write_bytes((folder / name).read_bytes())
    there = load(elsewhere)

    found = inputs.of_evaluate(here)
    assert list(found) == ["benchmarks.flickr", "tasks.composed/composed"]
    assert inputs.of_evaluate(there) == found
    assert inputs.of_select(there) == inputs.of_select(here)
    assert identity(there.select) == identity(here.select)
    assert identity(there.benchmarks) == identity(here.benchmarks)

    (elsewhere / "a.jpg").write_bytes(b"other")
    assert inputs.of_select(there) != inputs.of_select(here)
    assert inputs.of_evaluate(there) != inputs.of_evaluate(here)
    composed = folder / "composed.json"
    composed.write_text(composed.read_text().replace("blue", "green"))
    assert inputs.of_evaluate(here)["tasks.composed/composed"] != found["tasks.composed/composed"]
