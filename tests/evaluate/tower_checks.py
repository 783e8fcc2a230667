"""Fine-tunings of a tower that something happens to; each is one rank."""

import time
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch

from openalign.evaluate.datasets.labels import class_folders
from openalign.evaluate.datasets.labels.class_folders import ClassFoldersDataset
from openalign.evaluate.tasks.contract import TrainingMaterial
from openalign.evaluate.tasks.tower_training import TowerRun, outcomes_of, places_in
from openalign.train.config import Duration
from openalign.train.fine_tune.images import CropReader
from openalign.train.fine_tune.recipes import FINE_GRAINED_HEAD, FineTuneEngine
from openalign.train.zero import joined_ranks


def until_test_hangs(model: str, data: str, work: str) -> None:
    """Be a rank; the first image that is tested comes never."""
    torch.set_num_threads(1)

    def wait(*_: Any, **__: Any) -> None:
        time.sleep(600)  # the watch ends it long before

    with joined_ranks() as ranks, patch.object(CropReader, "evaluation", wait):
        material = TrainingMaterial(
            dataset=class_folders.read(ClassFoldersDataset(path=data)),
            model=model,
            processor="",
            weights="w",
            preprocess="p",
            images="i",
            work=work,
            ranks=ranks,
            fast=False,
        )
        stage = replace(
            FINE_GRAINED_HEAD, batch_size=8, train_px=32, eval_px=32, duration=Duration(steps=2)
        )
        run = TowerRun(
            name="run-1",
            words="toy",
            stages=(stage,),
            engine=FineTuneEngine(block_size=4, decode_threads=1, hang_minutes=0.5),
            seed=0,
            trained_on=places_in(material, "train"),
            tested_on=places_in(material, "test"),
        )
        outcomes_of(material, [run])
