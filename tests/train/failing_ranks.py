"""Ranks that end with an error of several lines."""

import sys
import time
from pathlib import Path

from openalign.train.checkpoints import resume
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.ranks import alone
from openalign.train.stage_spec import StageSpec, main_of_rank
from openalign.train.watchdog import COMPUTES, Watch


def find_newest(checkpoints: str, spec: str) -> None:
    """Be a rank that goes on from the newest checkpoint, if one is whole."""
    folder = CheckpointFolder(url=checkpoints, scratch=Path(checkpoints))

    def find(_: StageSpec) -> None:
        resume.find_newest(folder, alone(), made_from={})

    sys.exit(main_of_rank([spec], StageSpec, find))


def hang_alone() -> None:
    """Be a rank whose watchdog gives up."""
    watch = Watch(alone(), None, seconds=0.5, setting="`train.hang_minutes`")
    watch(2, COMPUTES)
    watch.start()
    time.sleep(600)
