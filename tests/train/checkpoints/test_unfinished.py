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


def test_another_setting_says_what_it_leaves_behind_and_where(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = begin(tmp_path, tiny_config())
    changed = replace(tiny_config(), seed=1, log_every_steps=7)

    say_unfinished(StageFolder(str(tmp_path), "train"), inputs_of(changed))

    said = " ".join(capfd.readouterr().err.split())
    assert f"train starts at step 0. {begun} was at step 6, with other settings" in said
    assert "(seed: 0 -> 1); it stays until this run is complete" in said


def test_another_input_is_said_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path, tiny_config())

    say_unfinished(StageFolder(str(tmp_path), "train"), inputs_of(tiny_config(), "abd"))

    assert "(its input `select`)" in capfd.readouterr().err


def test_a_run_that_goes_on_says_nothing_of_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path, tiny_config())
    looks = replace(tiny_config(), log_every_steps=7, zero=replace(tiny_config().zero, stage=3))

    say_unfinished(StageFolder(str(tmp_path), "train"), inputs_of(looks))

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
