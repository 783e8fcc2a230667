"""Search in what the whole stage has written."""

import shutil
from pathlib import Path

import pytest

from openalign.errors import InputError
from openalign.evaluate.search.query import Query
from openalign.evaluate.search.searcher import Searcher
from openalign.files.manifest import StageResult


def test_an_index_of_another_model_is_not_searched(
    done: tuple[Path, StageResult], model_folder: str, tmp_path: Path
) -> None:
    other = shutil.copytree(model_folder, tmp_path / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-4] ^= 1  # the last bit of the last weight
    (other / "model.safetensors").write_bytes(weights)

    with pytest.raises(InputError, match="was made with another model than") as caught:
        Searcher.open(str(done[0]), model=str(other))

    assert caught.value.hint == "run `openalign evaluate`"


def test_images_that_were_moved_are_found_where_the_caller_says(
    done: tuple[Path, StageResult], model_folder: str
) -> None:
    searcher = Searcher.open(str(done[0]), model=model_folder, image_folders={"squares": "/moved"})

    hits = searcher.find(Query(text="red"), 1)

    assert hits[0].path == f"/moved/{hits[0].key.removeprefix('squares/')}"


def test_search_finds_the_images_it_embedded(
    done: tuple[Path, StageResult], benchmark_folder: Path, model_folder: str
) -> None:
    image = benchmark_folder / "images" / "red.png"
    copy = benchmark_folder / "copy.png"
    shutil.copy(image, copy)
    searcher = Searcher.open(str(done[0]), model=model_folder)

    by_copy = searcher.find(Query(image=str(copy)), 3)
    by_itself = searcher.find(Query(image=str(image)), 7)

    assert by_copy[0].key == "squares/red.png"
    assert by_copy[0].score == pytest.approx(1.0, abs=1e-5)
    assert Path(by_copy[0].path).read_bytes() == image.read_bytes()
    assert "squares/red.png" not in [hit.key for hit in by_itself]
    assert len(by_itself) == 7
