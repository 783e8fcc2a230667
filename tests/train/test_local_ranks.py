"""Which processes are ranks, and which GPUs those of one machine have."""

from pathlib import Path

import pytest

from openalign.train import launch, local_ranks, zero
from openalign.train.stopping import Stopping


@pytest.mark.parametrize(
    ("asked", "num_gpus", "started", "said"),
    [
        pytest.param(0, 0, 1, "", id="one without a GPU"),
        pytest.param(3, 0, 3, "", id="as asked without a GPU"),
        pytest.param(0, 4, 4, "", id="one a GPU"),
        pytest.param(2, 4, 2, "", id="fewer than GPUs"),
        pytest.param(2, 1, 1, "1 of 2 ranks can start", id="one GPU for two"),
        pytest.param(8, 4, 4, "4 of 8 ranks can start", id="four GPUs for eight"),
    ],
)
def test_a_rank_has_a_gpu_to_itself(
    asked: int, num_gpus: int, started: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert local_ranks.num_local_ranks(asked, num_gpus=num_gpus, stage="train") == started
    err = capsys.readouterr().err
    assert said in err if said else not err


def test_a_rank_without_a_gpu_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DS_ACCELERATOR", raising=False)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)

    with pytest.raises(launch.StageError, match=r"rank 1 of this machine has no GPU: .* sees 1"):
        zero.joined_ranks().__enter__()  # which does not yield


def test_a_rank_does_not_start_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not local_ranks.is_rank()
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")

    assert local_ranks.is_rank()
    with pytest.raises(launch.StageError, match="cannot start others"):
        launch.launch(["spec.json"], num_processes=2, folders=[str(tmp_path)], stop=Stopping())


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        pytest.param("RANK", "WORLD_SIZE, MASTER_ADDR, MASTER_PORT", id="a rank of how many"),
        pytest.param("WORLD_SIZE", "RANK, MASTER_ADDR, MASTER_PORT", id="which of the ranks"),
    ],
)
def test_half_an_environment_is_refused(
    given: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for a whole one, it would train alone, or every rank would start a run of its own."""
    monkeypatch.setenv(given, "1")

    with pytest.raises(launch.StageError, match=f"sets {given} but not {missing}, so"):
        local_ranks.is_rank()


def test_an_address_alone_makes_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")

    assert not local_ranks.is_rank()


@pytest.mark.parametrize(
    ("given", "task"),
    [
        pytest.param({"SLURM_PROCID": "3", "SLURM_NTASKS": "16"}, "3", id="not the first task"),
        pytest.param({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "16"}, "0", id="the first task"),
    ],
)
def test_several_tasks_of_srun_are_refused(
    given: dict[str, str], task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would start ranks of its own."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(launch.StageError, match=f"task {task} of several that srun") as caught:
        local_ranks.is_rank()

    assert "srun --ntasks-per-node 1 torchrun" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("given", "is_one"),
    [
        pytest.param({"SLURM_PROCID": "0", "SLURM_NTASKS": "16"}, False, id="a batch script"),
        pytest.param({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, False, id="one task"),
        pytest.param(
            {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}
            | local_ranks.rank_environment(8, 16, 29500),
            True,
            id="torchrun on each node",
        ),
    ],
)
def test_other_processes_under_slurm_are_as_elsewhere(
    given: dict[str, str],
    is_one: bool,  # noqa: FBT001  # a parameter
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert local_ranks.is_rank() == is_one
