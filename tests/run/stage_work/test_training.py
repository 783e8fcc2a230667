"""What training is told and what stops it before a rank has started, in this process."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import tiny_training
from tiny_training import make_run, seal_stage, tiny_config

from openalign import cli
from openalign.errors import ConfigError, StageError
from openalign.files.manifest import StageInputs
from openalign.run.config import load_pipeline
from openalign.run.contract import Run
from openalign.run.stage_work import training
from openalign.run.stages import STAGES, training_spec
from openalign.settings.fields import identity
from openalign.settings.yaml_reader import read_plain
from openalign.train.config import Duration, TrainConfig
from openalign.train.presets import BatchNorm, GhostBatchNorm, LocalBatchNorm
from openalign.train.rank import TrainingSpec
from openalign.train.stage_spec import read_spec, write_spec
from openalign.train.updates import Lamb

CONFIG = tiny_config(num_processes=2, optimizer=Lamb(epsilon=1e-7, weight_decay=1e-05))


@pytest.fixture
def pipelines(tmp_path: Path) -> Path:
    return make_run(tmp_path, CONFIG)


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process a rank, as torchrun would; no test here lets it meet the others."""
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("asked", "num_gpus", "expected"),
    [
        pytest.param(0, 8, 4, id="one a block"),
        pytest.param(0, 3, 3, id="one a GPU"),
        pytest.param(0, 0, 1, id="no GPU"),
        pytest.param(6, 8, 6, id="as asked, which is refused later"),
    ],
)
def test_how_many_ranks_are_asked_for(asked: int, num_gpus: int, expected: int) -> None:
    config = replace(CONFIG, num_processes=asked, global_batch_size=16, block_size=4)

    assert training.ranks_asked_for(config, num_gpus=num_gpus) == expected


@pytest.mark.parametrize(
    ("batch_norm", "batch_size", "num_gpus", "said"),
    [
        pytest.param(
            LocalBatchNorm(),
            256,
            8,
            "7 of 8 GPUs stay idle: a batch is 1 block of 256 pairs, and a rank has whole blocks; "
            "`train.block_size` 32 lets all of them work, and makes another model: set it before "
            "the run\n",
            id="one block by default",
        ),
        pytest.param(
            GhostBatchNorm(group_size=16),
            64,
            8,
            "7 of 8 GPUs stay idle: a batch is 1 block of 64 pairs, and a rank has whole blocks; "
            "`train.block_size` 16 lets 4 of them work, and makes another model: set it before "
            "the run\n",
            id="fewer groups than GPUs",
        ),
        pytest.param(
            LocalBatchNorm(),
            2,
            2,
            "1 of 2 GPUs stay idle: a batch is 1 block of 2 pairs, and a rank has whole blocks; "
            "no smaller `train.block_size` lets more of them work\n",
            id="no smaller block",
        ),
        pytest.param(LocalBatchNorm(), 512, 2, "", id="a block a GPU"),
        pytest.param(LocalBatchNorm(), 256, 1, "", id="one GPU"),
        pytest.param(LocalBatchNorm(), 256, 0, "", id="no GPU"),
    ],
)
def test_gpus_without_a_block_are_told_of(
    batch_norm: BatchNorm,
    batch_size: int,
    num_gpus: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tower = replace(CONFIG.model.image_tower, batch_norm=batch_norm)
    config = replace(
        CONFIG,
        global_batch_size=batch_size,
        block_size=None,
        num_processes=0,
        model=replace(CONFIG.model, image_tower=tower),
    )

    training.say_idle_gpus(config, num_gpus=num_gpus)

    assert capsys.readouterr().err == (f"train     {said}" if said else "")
    training.say_idle_gpus(replace(config, num_processes=1), num_gpus=num_gpus)
    assert capsys.readouterr().err == ""


def test_gpus_that_stay_idle_are_told_of_before_ranks_start(
    pipelines: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(_: TrainingSpec) -> None:
        raise StageError("stopped before the ranks start")

    monkeypatch.setattr("openalign.train.rank.prepare", prepare)
    monkeypatch.setattr("openalign.train.local_ranks.count_gpus", lambda: 8)
    size = CONFIG.global_batch_size

    assert train(pipelines, "train.num_processes=0", f"train.block_size={size}") == 2

    said = capsys.readouterr().err
    assert said.count(f"GPUs stay idle: a batch is 1 block of {size} pairs") == 1
    assert said.index("stay idle") < said.index("error: stopped before the ranks start")


def test_ranks_are_counted_without_torch(pipelines: Path) -> None:
    """Else whoever starts ranks waits ten seconds for libraries that ranks alone use."""
    code = (
        "import sys\n"
        "from openalign.run.config import load_pipeline\n"
        "from openalign.run.stage_work import training\n"
        "train = load_pipeline(sys.argv[1], 'tiny').train\n"
        "training.check_ranks(train)\n"
        "print({'torch', 'transformers', 'deepspeed'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(pipelines)], capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("set()\n", "")


def spec_of(pipelines: Path) -> TrainingSpec:
    run = Run(stages=STAGES, config=load_pipeline(str(pipelines), "tiny"))
    settings, contents = {"settings": identity(run.config.train)}, {"fetch": "a", "select": "b"}
    return training_spec(run, StageInputs(settings=settings, contents=contents))


def train(pipelines: Path, *overrides: str) -> int:
    given = [word for override in overrides for word in ("--set", override)]
    return cli.main(["train", "tiny", "--config", str(pipelines), *given])


def test_a_spec_names_what_the_ranks_read_and_where_they_write(
    pipelines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By paths that do not depend on a rank's current folder."""
    monkeypatch.chdir(pipelines.parent)
    pipelines.write_text(
        pipelines.read_text().replace(f"root: {pipelines.parent}/run", "root: run")
    )
    root = pipelines.parent / "run"

    spec = spec_of(pipelines)

    assert spec.training == [
        f"{root}/selected/training-0000{number}-of-00002.parquet" for number in range(2)
    ]
    assert spec.shards == f"{root}/shards"
    assert spec.folder.url == f"{root}/train"
    assert spec.inputs.contents == {"fetch": "a", "select": "b"}
    assert spec.output == f"{root}/.train.{spec.inputs.fingerprint[:16]}"
    assert spec.work == f"{spec.output}/work"


def test_a_spec_is_read_as_it_was_written(pipelines: Path) -> None:
    """Runtime settings included, which the manifest does not have."""
    spec = spec_of(pipelines)
    url = str(pipelines.parent / "spec.json")

    write_spec(url, spec)

    assert read_spec(url, TrainingSpec) == spec
    assert read_plain(TrainConfig, read_spec(url, TrainingSpec).config, "the spec") == CONFIG
    assert "num_processes" not in spec.inputs.settings["settings"]


def test_the_defaults_survive_a_spec() -> None:
    config = TrainConfig()
    plain = msgspec.json.decode(msgspec.json.encode(training.to_plain(config)))

    assert read_plain(TrainConfig, plain, "the spec") == config


def test_a_setting_that_does_not_belong_into_a_spec_is_named() -> None:
    plain = training.to_plain(replace(CONFIG, duration=Duration(steps=9)))

    with pytest.raises(ConfigError, match=r"the spec:\d+: `optimizer.betas` is not a setting"):
        read_plain(TrainConfig, {**plain, "optimizer": {"kind": "lamb", "betas": 1}}, "the spec")


@pytest.mark.usefixtures("as_rank")
def test_a_rank_does_not_train_on_results_that_do_not_belong_together(
    pipelines: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openalign.train.rank.run", lambda _: pytest.fail("it trains"))
    root, extra = pipelines.parent / "run", pipelines.parent / "extra.tar"
    extra.write_bytes(tiny_training.jpeg_of("red", "circle"))
    filtered = training_inputs(root)
    seal_stage(root, "shards", [extra], {"filter": filtered, "again": "1"})

    assert train(pipelines) == 2

    said = capsys.readouterr().err
    assert f"{root}/selected was made from another result of `fetch`" in said
    assert "hint: run `openalign select tiny` first" in said


def training_inputs(root: Path) -> str:
    run = Run(stages=STAGES, config=load_pipeline(str(root.parent / "pipelines.yaml"), "tiny"))
    return run.folder("filter").require().content_fingerprint()


@pytest.mark.usefixtures("as_rank")
def test_a_rank_does_not_train_before_the_stages_it_reads_are_complete(
    pipelines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    selected = pipelines.parent / "run" / "selected"
    (selected / "COMPLETE").unlink()

    assert train(pipelines) == 2

    assert f"{selected} is not complete" in capsys.readouterr().err


def test_more_ranks_than_blocks_are_refused_before_one_starts(
    pipelines: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openalign.train.rank.prepare", lambda _: pytest.fail("it prepares"))
    monkeypatch.setattr("openalign.train.local_ranks.count_gpus", lambda: 0)
    blocks, ranks = CONFIG.num_blocks, CONFIG.num_blocks + 1

    assert train(pipelines, f"train.num_processes={ranks}") == 2

    said = capsys.readouterr().err
    assert said.count(f"error: {ranks} ranks cannot share {blocks} block") == 1
    assert f"set `train.num_processes` to {blocks} at most" in said


def test_beam_options_reach_the_job_that_counts_words(
    pipelines: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[TrainingSpec] = []

    def prepare(spec: TrainingSpec) -> None:
        given.append(spec)
        raise StageError("stopped before the ranks start")

    monkeypatch.setattr("openalign.train.rank.prepare", prepare)
    command = ["train", "tiny", "--config", str(pipelines), "--"]

    assert cli.main([*command, "--direct_running_mode=multi_processing"]) == 2

    assert "stopped before the ranks start" in capsys.readouterr().err
    assert [list(spec.beam_options) for spec in given] == [
        ["--direct_running_mode=multi_processing"]
    ]
    assert cli.main([*command, "--no_such_option=1"]) == 2
    assert "no_such_option" in capsys.readouterr().err


def test_a_result_of_select_without_an_index_is_refused(
    tmp_path: Path, pipelines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = pipelines.parent / "run"
    fetched = Run(stages=STAGES, config=load_pipeline(str(pipelines), "tiny")).folder("fetch")
    only_rows = sorted((root / "selected").glob("training-*.parquet"))
    kept = [tmp_path / path.name for path in only_rows]
    for path, copy in zip(only_rows, kept, strict=True):
        copy.write_bytes(path.read_bytes())
    content = fetched.require().content_fingerprint()
    seal_stage(root, "selected", kept, {"fetch": content}, num_rows=64)

    assert train(pipelines) == 2

    said = capsys.readouterr().err
    assert "has no index of its training pairs: an earlier version wrote it" in said
