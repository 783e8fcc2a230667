import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from one_rank import alone, folder_in, save
from tiny_training import tiny_config

from openalign.files.manifest import StageFolder, StageInputs, StageResult
from openalign.settings.fields import identity, to_plain
from openalign.train.checkpoints.unfinished import say_unfinished
from openalign.train.config import TrainConfig
from openalign.train.starting_points import FromModel


@pytest.fixture(scope="module", autouse=True)
def group() -> Generator[None]:
    with alone():
        yield


def inputs_of(config: TrainConfig, select: str = "abc") -> StageInputs:
    return StageInputs(settings={"settings": identity(config)}, contents={"select": select})


def begin(root: Path, config: TrainConfig) -> str:
    """Leave a run behind at step 6; return its folder."""
    partial = StageFolder(str(root), "train").partial_url(inputs_of(config).fingerprint)
    folder = folder_in(Path(partial))
    settings: dict[str, Any] = to_plain(config)
    save(folder, 3, 6, settings=settings, made_from={"`select`": "abc"})
    return partial


def say_in(
    root: Path, written: TrainConfig, *, select: str = "abc", trained: TrainConfig | None = None
) -> None:
    """Say what is unfinished; a run may be `trained` with other settings than are written."""
    folder = StageFolder(str(root), "train")
    say_unfinished(folder, inputs_of(written, select), identity(trained or written))


def test_another_setting_says_what_it_leaves_behind_and_where(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = begin(tmp_path, tiny_config())
    changed = replace(tiny_config(), seed=1, log_every_steps=7)

    say_in(tmp_path, changed)

    said = " ".join(capfd.readouterr().err.split())
    assert f"train starts at step 0. {begun} was at step 6, with other settings" in said
    assert "(seed: 0 -> 1); it stays until this run is complete" in said


def taking_normalization(config: TrainConfig) -> TrainConfig:
    """Return settings with a value that a run takes from the model that it begins from."""
    model = replace(config.model, normalization="none")
    return replace(config, model=model, init_from=FromModel(path="align"))


def test_what_is_taken_from_another_model_is_no_difference(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path, taking_normalization(tiny_config()))
    changed = replace(tiny_config(), seed=1)

    taken = taking_normalization(changed)
    say_in(tmp_path, replace(taken, model=tiny_config().model), trained=taken)

    assert "(seed: 0 -> 1); it stays" in " ".join(capfd.readouterr().err.split())


def test_what_is_no_longer_written_but_taken_makes_another_run_and_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    taken = taking_normalization(tiny_config())
    begin(tmp_path, taken)
    written = replace(taken, model=tiny_config().model)

    say_in(tmp_path, written, trained=taken)

    said = " ".join(capfd.readouterr().err.split())
    assert "or what is written of the model and what is taken from `train.init_from`)" in said


def test_a_run_whose_checkpoints_are_gone_says_that_it_starts_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = Path(begin(tmp_path, tiny_config()))
    shutil.rmtree(begun / "checkpoints")
    say_in(tmp_path, tiny_config())
    assert capfd.readouterr().err == ""  # nothing was done yet

    (begun / "metrics.jsonl").write_text('{"step":0}\n')
    say_in(tmp_path, tiny_config())

    assert f"train starts at step 0 again: {begun} has no checkpoint" in " ".join(
        capfd.readouterr().err.split()
    )


def test_another_input_is_said_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path, tiny_config())

    say_in(tmp_path, tiny_config(), select="abd")

    assert "(its input `select`)" in capfd.readouterr().err


def test_a_run_that_goes_on_says_nothing_of_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path, tiny_config())
    looks = replace(tiny_config(), log_every_steps=7, zero=replace(tiny_config().zero, stage=3))

    say_in(tmp_path, looks)

    assert capfd.readouterr().err == ""


def test_what_other_settings_had_begun_stays_until_the_new_result_is_sealed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = begin(tmp_path, tiny_config())
    stage = StageFolder(str(tmp_path), "train")
    new = inputs_of(tiny_config(seed=1))
    Path(stage.partial_url(new.fingerprint)).mkdir()
    assert Path(begun).exists()

    result = StageResult(num_inputs=1, states={"trained_on": 1}, num_outputs=1, files=[])
    stage.seal(result, new)

    assert not Path(begun).exists()
    assert f"removes {begun}, which other settings" in capfd.readouterr().err
