"""The stage as a user runs it: `openalign evaluate` in one process, in two, and by torchrun."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rank_processes import environment
from tiny_training import make_run, tiny_config

from openalign.files import storage
from openalign.files.manifest import DataFile, StageFolder, StageInputs, StageResult

pytestmark = [pytest.mark.distributed, pytest.mark.slow]


@pytest.fixture(scope="module")
def trained(
    shared_benchmark: Path, model_folder: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the `pipelines.yaml` of a run whose training is complete."""
    folder = tmp_path_factory.mktemp("trained")
    pipelines = make_run(folder, tiny_config())
    content = yaml.safe_load(pipelines.read_text())
    content["tiny"] |= {
        "benchmarks": {
            "squares": {
                "kind": "karpathy",
                "path": f"{shared_benchmark}/dataset.json",
                "images": f"{shared_benchmark}/images",
            }
        },
        "evaluate": {
            "tasks": [
                {"kind": "retrieval", "benchmark": "squares"},
                {
                    "kind": "composed",
                    "benchmark": "squares",
                    "path": f"{shared_benchmark}/composed.json",
                },
            ],
            "bootstrap_resamples": 5,
            "batch_size": 3,
        },
    }
    pipelines.write_text(yaml.safe_dump(content))
    seal_export(folder / "run", Path(model_folder))
    return pipelines


def seal_export(root: Path, model: Path) -> None:
    """Seal a model as the result of `train`."""
    stage = StageFolder(str(root), "train")
    contents = {
        reads: StageFolder(str(root), folder).require().content_fingerprint()
        for reads, folder in (("select", "selected"), ("fetch", "shards"))
    }
    inputs = StageInputs(settings={}, contents=contents)
    export = Path(stage.partial_url(inputs.fingerprint), "export")
    shutil.copytree(model, export)
    files = [
        DataFile.of(f"export/{path.name}", storage.found_at(str(path)), num_rows=1)
        for path in export.iterdir()
    ]
    stage.seal(
        StageResult(num_inputs=1, states={"trained_on": 1}, num_outputs=1, files=files), inputs
    )


def evaluate(pipelines: Path, root: Path, *launcher: str, **settings: int) -> str:
    """Evaluate into a copy of the run; return what was said."""
    shutil.copytree(pipelines.parent / "run", root)
    overrides = [f"root={root}", *(f"evaluate.{name}={value}" for name, value in settings.items())]
    done = subprocess.run(
        [
            *(sys.executable, *launcher, "-m", "openalign", "evaluate", "tiny"),
            *("--config", str(pipelines)),
            *(word for override in overrides for word in ("--set", override)),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def result_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in (root / "evaluate").rglob("*")
        if path.is_file() and path.name not in ("run.jsonl", "folders.json")
    }


def test_all_ways_of_starting_it_write_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    one = evaluate(trained, tmp_path / "one")
    two = evaluate(trained, tmp_path / "two", num_processes=2)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python")
    by_torchrun = evaluate(trained, tmp_path / "torchrun", *torchrun, sys.executable)

    expected = result_of(tmp_path / "one")
    assert {"evaluate/COMPLETE", "evaluate/results.json"} <= expected.keys()
    assert result_of(tmp_path / "two") == expected
    assert result_of(tmp_path / "torchrun") == expected
    assert "starts" not in one
    assert "evaluate  starts 2 ranks" in two
    assert "28 embeddings in" in one
    assert "on 2 processes" in two
    assert "on 2 processes" in by_torchrun
    assert by_torchrun.count("squares needs 8 images, 16 captions") == 1
