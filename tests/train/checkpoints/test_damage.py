"""Checkpoints that something has happened to: what a run then goes on from, and what it says."""

import hashlib
import re
import shutil
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

import pytest
import torch
from one_rank import RANKS, alone, engine_of, folder_in, save

from openalign.errors import StageError
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.resume import FoundCheckpoint, find_newest
from openalign.train.data.vocabulary import vocabulary_hash

MADE_FROM = {"`select`": "abc"}


@pytest.fixture(scope="module", autouse=True)
def group() -> Generator[None]:
    with alone():
        yield


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints of steps 3 and 6."""
    path = tmp_path_factory.mktemp("two")
    save(folder_in(path), 3, 6)
    return path


def newest(folder: CheckpointFolder) -> FoundCheckpoint | None:
    return find_newest(folder, RANKS, made_from=MADE_FROM)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def in_deepspeeds_form(folder: Path) -> None:
    empty(folder)
    (folder / "progress.json").write_text('{"step": 6, "world_size": 2}')
    (folder / "mp_rank_00_model_states.pt").write_bytes(b"PK")


def reseal(folder: Path, *, wanted: str, in_its_place: str) -> None:
    path = folder / "checkpoint.json"
    text = path.read_text().partition('"manifest":')[2].removesuffix("}\n")
    text = re.sub(wanted, in_its_place, text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(f'{{"sha256":"{digest}","manifest":{text}}}\n')


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        pytest.param(
            lambda folder: flip(folder / "__0_0.distcp"),
            "__0_0.distcp holds other bytes than were written",
            id="a flipped bit of a tensor",
        ),
        pytest.param(
            lambda folder: flip(folder / ".metadata"),
            ".metadata holds other bytes than were written",
            id="a flipped bit of the places",
        ),
        pytest.param(
            lambda folder: truncate(folder / "__0_0.distcp"),
            "__0_0.distcp has 100 bytes in place of ",
            id="a file cut short",
        ),
        pytest.param(
            lambda folder: (folder / ".metadata").unlink(),
            ".metadata is missing",
            id="a file that is gone",
        ),
        pytest.param(
            lambda folder: truncate(folder / "checkpoint.json"),
            "checkpoint.json cannot be read: ",
            id="a manifest cut short",
        ),
        pytest.param(
            lambda folder: (folder / "checkpoint.json").write_text(
                (folder / "checkpoint.json").read_text().replace('"5a"', '"5b"')
            ),
            "checkpoint.json is not what was written",
            id="a manifest with another number",
        ),
        pytest.param(
            partial(reseal, wanted=r'"step":\d+', in_its_place='"step":12'),
            "checkpoint.json says that it is of step 12",
            id="a copy of another step",
        ),
        pytest.param(empty, "checkpoint.json is missing", id="an empty folder"),
        pytest.param(
            in_deepspeeds_form,
            "it has DeepSpeed's form, as earlier versions wrote it",
            id="the form of earlier versions",
        ),
        pytest.param(
            partial(reseal, wanted='"format":2', in_its_place='"format":3'),
            "it is of format 3, and this version reads 2",
            id="the form of later versions",
        ),
    ],
)
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_word(
    two: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    fault: str,
) -> None:
    shutil.copytree(two / "checkpoints", tmp_path / "checkpoints")
    folder = folder_in(tmp_path)
    damage(Path(folder.url_of(6)))

    found = newest(folder)

    assert found is not None
    assert found.progress.step == 3
    said = capfd.readouterr().err
    assert f"{folder.url_of(6)} cannot be used: {fault}" in said
    assert "goes on from step 3" in said
    assert "Traceback" not in said

    damage(Path(folder.url_of(3)))
    with pytest.raises(StageError, match="there are checkpoints, and none can be used") as error:
        newest(folder)
    assert folder.url_of(6) in str(error.value)
    assert folder.url_of(3) in str(error.value)


def test_the_newest_whole_checkpoint_is_loaded_with_every_number(two: Path) -> None:
    found = newest(folder_in(two))
    assert found is not None
    engine, optimizer = engine_of(fill=0, step=0)

    found.load_towers(engine.module)
    found.load_moments(engine, optimizer)

    assert (found.progress.step, found.progress.sample_hash) == (6, "5a")
    for tensor in engine.module.state_dict().values():
        assert torch.equal(tensor, torch.full_like(tensor, 6))
    for parameter in engine.module.parameters():
        state = optimizer.state_of(parameter)
        assert state["step"].item() == 6
        assert torch.equal(state["exp_avg"], torch.full_like(parameter, 7))
        assert torch.equal(state["exp_avg_sq"], torch.full_like(parameter, 8))


def test_a_run_without_a_checkpoint_is_at_its_start(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    folder.partial(3).mkdir(parents=True)  # a run was killed while it wrote its first

    assert newest(folder) is None


def test_a_checkpoint_of_other_inputs_is_refused(two: Path) -> None:
    with pytest.raises(StageError, match="step-00000006 was made with another `select` than"):
        find_newest(folder_in(two), RANKS, made_from={"`select`": "abd"})


def test_a_checkpoint_of_another_vocabulary_is_refused(two: Path, tmp_path: Path) -> None:
    """Its order is that of the rows of the embeddings. Earlier versions noted no hash."""
    save(folder_in(tmp_path), 3, vocabulary=vocabulary_hash(["[PAD]", "red", "green"]))
    noted, unnoted = newest(folder_in(tmp_path)), newest(folder_in(two))
    assert noted is not None
    assert unnoted is not None

    noted.check_vocabulary(["[PAD]", "red", "green"], hint="")
    unnoted.check_vocabulary(["[PAD]", "green", "red"], hint="")
    with pytest.raises(StageError, match="was made with another vocabulary than there is now"):
        noted.check_vocabulary(["[PAD]", "green", "red"], hint="")


def test_a_checkpoint_of_another_model_is_refused(two: Path) -> None:
    found = newest(folder_in(two))
    assert found is not None

    with pytest.raises(StageError, match=r"holds another model: 2 tensors differ, such as 0\.bias"):
        found.load_towers(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(2)))
