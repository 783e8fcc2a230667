"""A data-set kind of a few lines, in the table for the length of a test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from squares import RETRIEVAL

from openalign.evaluate import results, stage
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets import kinds
from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.search.query import Query
from openalign.evaluate.search.searcher import Searcher


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDataset:
    """Every image of a folder, captioned by its name."""

    kind: Literal["folder"] = "folder"
    path: str


def read(dataset: FolderDataset) -> Dataset:
    return Dataset(
        images=[
            BenchmarkImage(
                name=file.name,
                split="test",
                place=ImageFile(dataset.path, file.name),
                captions=(f"a {file.stem} square",),
            )
            for file in sorted(Path(dataset.path).glob("*.png"))
        ]
    )


FOLDER = DatasetKind(
    settings=FolderDataset,
    title="a folder of images",
    page="evaluate.md",
    read=read,
    image_folder=lambda dataset: dataset.path,
)


def test_a_kind_that_is_added_to_the_table_is_measured_and_searched(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kinds.KINDS, "folder", FOLDER)
    folder, output = str(shared_benchmark / "images"), str(tmp_path)

    stage.run(
        EvaluateConfig(tasks=(RETRIEVAL,), bootstrap_resamples=5),
        {"squares": FolderDataset(path=folder)},
        model=model_folder,
        output=output,
        work=f"{output}/work",
    )

    found = results.read(f"{output}/results.json")
    assert found.metric("retrieval/squares/split/text_to_image/recall_at_1").n == 8
    assert found.settings["benchmarks"] == {"squares": {"kind": "folder", "path": folder}}
    hits = Searcher.open(output, model=model_folder).find(Query(text="red square"), 8)
    images = read(FolderDataset(path=folder)).images
    assert {hit.path for hit in hits} == {image.place.file for image in images}
