"""Which weights `openalign export` takes from a checkpoint, and what it refuses beforehand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from saved_align import save_align
from tiny_training import make_run, tiny_config

from openalign import cli
from openalign.settings.fields import to_plain
from openalign.train import export_step
from openalign.train.checkpoints.manifest import CheckpointManifest, Progress, sealed
from openalign.train.config import TrainConfig
from openalign.train.monitoring import Validation
from openalign.train.starting_points import FromModel
from openalign.train.updates import Ema

AVERAGED = tiny_config(ema=Ema(decay=0.5))
Export = Callable[..., int]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The weights and the folder's name of each model that is written."""
    found: list[tuple[str, str]] = []

    def note(_folder: str, _step: int, *, weights: str, output: str, **_: Any) -> None:
        found.append((weights, Path(output).name))
        Path(output).mkdir()

    monkeypatch.setattr(export_step, "export_step", note)
    return found


def run_of(folder: Path, trained: TrainConfig, *, saved: Any = None) -> Export:
    """Write a run with a checkpoint of step 3, and return `openalign export` of it."""
    pipelines = make_run(folder, trained)
    manifest = CheckpointManifest(
        progress=Progress(step=3),
        made_from={},
        settings=to_plain(trained) if saved is None else saved,
        parameters={},
        buffers={},
        files={},
    )
    checkpoint = folder / "run" / "train" / "checkpoints" / "step-00000003"
    checkpoint.mkdir(parents=True)
    (checkpoint / "checkpoint.json").write_bytes(sealed(manifest))

    def export(*words: str) -> int:
        return cli.main(["export", "tiny", "--config", str(pipelines), "--step", "3", *words])

    return export


@pytest.mark.parametrize(
    ("trained", "words", "expected"),
    [
        pytest.param(AVERAGED, [], ("last", "export-step-00000003"), id="as the run: last"),
        pytest.param(
            tiny_config(ema=Ema(), export="ema"),
            [],
            ("ema", "export-step-00000003-ema"),
            id="as the run: average",
        ),
        pytest.param(
            tiny_config(ema=Ema(), validation=Validation(), export="best"),
            [],
            ("last", "export-step-00000003"),
            id="as the run: best, which names a step",
        ),
        pytest.param(
            AVERAGED, ["--weights", "ema"], ("ema", "export-step-00000003-ema"), id="average"
        ),
        pytest.param(
            tiny_config(ema=Ema(), export="ema"),
            ["--weights", "last"],
            ("last", "export-step-00000003"),
            id="last",
        ),
    ],
)
def test_the_weights_are_those_that_are_asked_for_or_else_those_of_the_run(
    tmp_path: Path,
    exported: list[tuple[str, str]],
    trained: TrainConfig,
    words: list[str],
    expected: tuple[str, str],
) -> None:
    assert run_of(tmp_path, trained)(*words) == 0

    assert exported == [expected]


def test_average_and_weights_of_a_step_lie_beside_each_other_and_replace_nothing(
    tmp_path: Path, exported: list[tuple[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    export = run_of(tmp_path, AVERAGED)

    codes = [export("--weights", weights) for weights in ("last", "ema", "last", "ema")]

    assert codes == [0, 0, 2, 2]
    assert [name for _, name in exported] == ["export-step-00000003", "export-step-00000003-ema"]
    said = capfd.readouterr().err
    assert "loads the weights of step 3" in said
    assert "loads the average of the weights of step 3" in said
    assert "export-step-00000003-ema is there already" in said


def test_a_checkpoint_without_an_average_says_so(
    tmp_path: Path, exported: list[tuple[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_of(tmp_path, tiny_config())("--weights", "ema") == 2

    assert exported == []
    said = capfd.readouterr().err
    assert "error: the checkpoint of step 3 holds no average: its run has no `train.ema`" in said
    assert "hint: export its weights with --weights last" in said


@pytest.mark.parametrize(
    ("override", "differs"),
    [
        pytest.param("train.seed=1", "train.seed: 0 -> 1", id="another model"),
        pytest.param("train.model={crop_px: 30}", "train.model.crop_px: 32 -> 30", id="a section"),
        pytest.param("train.ema=null", "train.ema: ", id="none of a section"),
        pytest.param("train.validation={}", "train.validation: null -> ", id="one by default"),
        pytest.param("train.decode_threads=3", "train.decode_threads: 1 -> 3", id="how it is done"),
    ],
)
def test_a_setting_that_would_be_ignored_is_refused(
    tmp_path: Path,
    exported: list[tuple[str, str]],
    capfd: pytest.CaptureFixture[str],
    override: str,
    differs: str,
) -> None:
    assert run_of(tmp_path, AVERAGED)("--set", override) == 2

    assert exported == []
    said = capfd.readouterr().err
    assert f"with the settings of its checkpoint, and --set names others: {differs}" in said
    assert "hint: leave out what --set says of them\n" in said


def test_a_setting_of_the_weights_is_answered_with_the_option(
    tmp_path: Path, exported: list[tuple[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_of(tmp_path, AVERAGED)("--set", "train.export=ema") == 2

    assert exported == []
    said = capfd.readouterr().err
    assert "--set names others: train.export: last -> ema\n" in said
    assert ", and choose with --weights last or --weights ema\n" in said


def test_settings_as_the_checkpoint_has_them_may_be_named(
    tmp_path: Path, exported: list[tuple[str, str]]
) -> None:
    export = run_of(tmp_path, AVERAGED)

    assert export("--set", "train.export=last", "--set", "train.ema={decay: 0.5}") == 0

    assert len(exported) == 1


def test_where_a_run_began_from_may_be_spelled_otherwise_by_now(
    tmp_path: Path, exported: list[tuple[str, str]]
) -> None:
    """Ranks are told absolute paths, and a checkpoint has them from there."""
    model = tmp_path / "base"
    save_align(model)
    begun = tiny_config(init_from=FromModel(path="/elsewhere/models/base"))
    export = run_of(
        tmp_path, replace(begun, init_from=FromModel(path=str(model))), saved=to_plain(begun)
    )

    assert export("--set", f"train.init_from.path={model}") == 0

    assert len(exported) == 1


def test_only_what_is_set_beside_the_command_is_held_against_the_checkpoint(
    tmp_path: Path, exported: list[tuple[str, str]]
) -> None:
    """A run that begins from a model has taken sizes from there that its pipeline leaves unset."""
    saved = to_plain(AVERAGED)
    saved["model"] |= {"resize_px": 48, "crop_px": 48}

    assert run_of(tmp_path, AVERAGED, saved=saved)("--set", "train.model={max_tokens: 16}") == 0

    assert len(exported) == 1
