"""Training on images that stay in somebody else's tars, which may be moved meanwhile."""

import signal
from pathlib import Path

import pytest
from own_images import run_verb, write_pipeline, write_tar
from run_checks import run_until_killed
from tiny_training import COLORS, SHAPES, finish, jpeg_of, result_bytes, start_ranks, tiny_config

from openalign.files.manifest import StageFolder
from openalign.run.config import load_pipeline
from openalign.run.contract import Run
from openalign.run.lineage import read_inputs
from openalign.run.stages import STAGES, training_spec
from openalign.settings.fields import to_plain
from openalign.train import rank
from openalign.train.config import Duration
from openalign.train.rank import TrainingSpec

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

CONFIG = tiny_config(duration=Duration(steps=5), checkpoint_every_steps=2)


def write_tars(folder: Path) -> None:
    for number, color in enumerate(COLORS):
        members = [
            (f"{color}-{shape}.{ending}", content)
            for shape in SHAPES
            for ending, content in (
                ("jpg", jpeg_of(color, shape, side_px=210)),
                ("txt", f"a {color} {shape}".encode()),
            )
        ]
        write_tar(folder / f"{number:05d}.tar", members)


def write(folder: Path, tars: Path, root: str) -> Path:
    source = {"kind": "tars", "path": str(tars / "{00000..00007}.tar")}
    return write_pipeline(folder, source, root=root, train=to_plain(CONFIG))


def spec_of(pipelines: Path) -> TrainingSpec:
    run = Run(stages=STAGES, config=load_pipeline(str(pipelines), "own"))
    return training_spec(run, read_inputs(run, STAGES["train"]))


def test_a_killed_training_goes_on_from_tars_that_were_moved(tmp_path: Path) -> None:
    write_tars(tmp_path / "here")
    for root in ("whole", "cut"):
        pipelines = write(tmp_path, tmp_path / "here", root)
        for verb in ("harvest", "filter", "fetch", "select"):
            assert run_verb(verb, pipelines) == 0
    finish(
        start_ranks(
            (rank.run, (spec_of(write(tmp_path, tmp_path / "here", "whole")),)),
            num_ranks=1,
            folder=tmp_path / "whole-job",
        )
    )

    pipelines = write(tmp_path, tmp_path / "here", "cut")
    job = (run_until_killed, (spec_of(pipelines), 4))
    [killed] = start_ranks(job, num_ranks=1, folder=tmp_path / "cut-job")
    said = killed.communicate()[0]
    assert killed.returncode == -signal.SIGKILL, said
    (tmp_path / "here").rename(tmp_path / "there")
    pipelines = write(tmp_path, tmp_path / "there", "cut")
    [lost] = start_ranks((rank.run, (spec_of(pipelines),)), num_ranks=1, folder=tmp_path / "lost")
    assert "cannot be read: No such file" in lost.communicate()[0]
    assert lost.returncode != 0
    assert run_verb("fetch", pipelines) == 0  # up to date; it sees where the tars lie now
    finish(start_ranks((rank.run, (spec_of(pipelines),)), num_ranks=1, folder=tmp_path / "again"))

    assert StageFolder(str(tmp_path / "cut"), "train").require().num_inputs == 32
    assert result_bytes(tmp_path / "whole") == result_bytes(tmp_path / "cut")
