"""Reads a task of VTAB-1k, for tests of both its forms."""

from pathlib import Path
from typing import Any

from published_forms import labelled

from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.vtab.vtab import KIND, VtabDataset


def read(path: Path, task: str, **settings: Any) -> Dataset:
    return KIND.read(VtabDataset(path=str(path), task=task, **settings))


def labels(dataset: Dataset, split: str) -> list[int | None]:
    return [label for _, label in labelled(dataset, split)]
