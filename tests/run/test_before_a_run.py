"""What a run checks before its first stage, and behind each that hands on rows."""

import importlib.util
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from saved_align import save_align

from openalign import cli
from openalign.errors import ConfigError
from openalign.run import preflight
from openalign.run.config import load_pipeline
from openalign.run.contract import Run
from openalign.run.stages import STAGES
from openalign.train.config import Duration, TrainConfig, Validation
from openalign.train.optim.schedule import pairs_needed, total_steps
from openalign.train.updates import Schedule

PIPELINE = """\
pairs:
  root: ROOT
  web: {contact: "https://example.org"}
  harvest: {source: {kind: table, path: pairs.parquet}}
  filter: {text: {frequent: {kind: min_count, at_least: 1}}}
  train:
    model: {image_tower: {preset: b0}, text_tower: {preset: mini}}
    global_batch_size: 64
    block_size: 64
    duration: {epochs: 10}
    schedule: {warmup_steps: 500}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    urls = [f"https://example.org/{n}.jpg" for n in range(40)]
    captions = [f"a red apple number {n}" for n in range(40)]
    pq.write_table(pa.table({"url": urls, "caption": captions}), tmp_path / "pairs.parquet")
    (tmp_path / "pipelines.yaml").write_text(PIPELINE.replace("ROOT", "run"))
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *options: str, verb: str = "run") -> str:
    """Run a command that must be refused, and return what it said."""
    assert cli.main([verb, "pairs", *options]) == 2
    return capsys.readouterr().err


def without(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name in libraries else find(name, *more),
    )


def test_missing_libraries_of_all_stages_are_named_with_one_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "pycurl", "deepspeed")

    said = refusal(capsys)

    assert "error: pycurl, deepspeed are not installed" in said
    assert "hint: pip install 'openalign[ingest,train]'" in said
    assert not (folder / "run" / "candidates").exists()


def test_more_ranks_than_blocks_are_told_before_anything_is_gathered(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("openalign.train.local_ranks.count_gpus", lambda: 0)

    said = refusal(capsys, "--set", "train.num_processes=2")

    assert said.startswith("error: 2 ranks cannot share 1 block of 64 pairs")
    assert not (folder / "run" / "candidates").exists()


def test_a_benchmark_that_is_not_there_is_told_before_anything_is_gathered(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pipelines.yaml").write_text(
        PIPELINE.replace("ROOT", "run")
        + "  benchmarks: {flickr30k: {kind: karpathy, path: f.json, images: images}}\n"
        "  evaluate: {tasks: [{kind: retrieval, benchmark: flickr30k}]}\n"
    )

    said = refusal(capsys)

    assert "f.json" in said
    assert not (folder / "run" / "candidates").exists()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("align", "`train.model.text_tower` is num_layers 4, hidden_size 256, num_heads 4, and "),
        ("nowhere", "`train.init_from.path` is nowhere, which is "),
    ],
)
def test_what_training_cannot_begin_from_is_told_before_anything_is_gathered(
    folder: Path, capsys: pytest.CaptureFixture[str], path: str, said: str
) -> None:
    (folder / "align").mkdir()
    save_align(folder / "align")
    capsys.readouterr()

    assert said in refusal(capsys, "--set", f"train.init_from={{kind: model, path: {path}}}")
    assert not (folder / "run" / "candidates").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        pytest.param(
            "train.frozen=nope",
            "`train.frozen` names 'nope', and no parameter of the model is called so",
            id="frozen",
        ),
        pytest.param(
            "train.frozen=image_tower,text_tower",
            "hint: no name has a comma: write each pattern alone, [image_tower, text_tower]",
            id="a list as a shell's user writes it",
        ),
        pytest.param(
            "train.frozen=*",
            "`train.frozen` leaves no parameter to train",
            id="all",
        ),
        pytest.param(
            "train.learning_rate_factors={text_tower.encoder.layer.4: 0.1}",  # mini has 0 to 3
            "`train.learning_rate_factors` names 'text_tower.encoder.layer.4', and no parameter",
            id="factor",
        ),
    ],
)
def test_patterns_that_mean_no_parameter_are_told_before_anything_is_gathered(
    folder: Path, capsys: pytest.CaptureFixture[str], setting: str, said: str
) -> None:
    assert said in refusal(capsys, "--set", setting)
    assert not (folder / "run").exists()


def test_what_training_needs_is_said_and_too_few_pairs_stop_a_run_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys)

    assert "train     will need at least 3,201 pairs of what is found" in said  # 500 x 64 / 10 + 1
    assert "training needs at least 3,201 pairs, and harvest left 40 rows" in said
    # 10 epochs of 40 pairs are 100 steps of 4, of which a tenth warms up.
    batch = "--set train.global_batch_size=4 --set train.block_size=4"
    assert f"try {batch} --set train.schedule.warmup_steps=10\n" in said
    assert not (folder / "run" / "filtered").exists()
    # The harvest is complete now, and the next run says so before it does anything.
    assert "will need" not in (again := refusal(capsys))
    assert "harvest left 40 rows" in again
    assert "up to date" not in again


@pytest.mark.parametrize("num_processes", [1, 2, 3])
def test_what_a_hint_says_lets_a_run_go_on(
    folder: Path, capsys: pytest.CaptureFixture[str], num_processes: int
) -> None:
    ranks = f"train.num_processes={num_processes}"
    groups = "train.model.image_tower.batch_norm={kind: ghost, group_size: 8}"
    said = refusal(capsys, "--set", ranks, "--set", groups, "--set", "train.block_size=16")
    words = said.rpartition("try ")[2].split()
    overrides = [word for word in words if word != "--set"]
    config = load_pipeline("pipelines.yaml", "pairs", [*overrides, ranks, groups])

    assert pairs_needed(config.train) <= 40
    assert config.train.num_blocks >= num_processes


def test_a_full_disk_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> Any:
        asked.append(path)
        return SimpleNamespace(free=12_000_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)

    assert "run/deep/er has room for 12 MB" in refusal(capsys, "--set", "root=run/deep/er")
    assert asked == [folder]
    assert not (folder / "run").exists()


def test_a_run_that_is_complete_needs_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "pycurl")
    config = load_pipeline("pipelines.yaml", "pairs")
    preflight.check(Run(stages=STAGES, config=config), [])


@pytest.mark.parametrize("epochs", [0.1, 0.3, 1.0, 2.5, 7.0, 10.0])
@pytest.mark.parametrize("warmup", [0, 1, 7, 500])
def test_the_fewest_pairs_are_just_enough_to_outlast_the_warm_up(
    epochs: float, warmup: int
) -> None:
    config = TrainConfig(
        global_batch_size=8,
        block_size=8,
        duration=Duration(steps=None, epochs=epochs),
        schedule=Schedule(warmup_steps=warmup),
    )
    needed = pairs_needed(config)

    def steps(num_pairs: int) -> int:
        return total_steps(config.duration, num_pairs=num_pairs, global_batch_size=8)

    assert needed >= 8
    assert steps(needed) > warmup
    assert needed == 8 or steps(needed - 1) <= warmup


def test_with_a_number_of_steps_a_batch_is_enough() -> None:
    assert pairs_needed(TrainConfig(global_batch_size=64, block_size=64)) == 64
    held_out = Validation(batches=2)
    config = TrainConfig(global_batch_size=64, block_size=64, validation=held_out)
    assert pairs_needed(config) == 64 + 2 * 64


def test_rows_of_stages_that_gather_are_compared_and_others_are_not(folder: Path) -> None:
    run = Run(stages=STAGES, config=load_pipeline("pipelines.yaml", "pairs"))
    few = SimpleNamespace(num_outputs=3)
    preflight.check_num_pairs(run, few, behind="site")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="select left 3 rows"):
        preflight.check_num_pairs(run, few, behind="select")  # type: ignore[arg-type]
