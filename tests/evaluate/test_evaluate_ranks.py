"""Evaluations by several processes: the bytes are those of one, whoever is killed on the way.

Chunks hold two images here, so that eight squares are shared.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from local_ports import free_port
from rank_processes import environment, is_alive, process_ids, wait_until
from saved_align import edit_json
from squares import benchmarks_of, config_of

from openalign.errors import InputError, StageError
from openalign.evaluate import rank
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.embedding import chunks
from openalign.evaluate.launch import launch
from openalign.evaluate.rank import EvaluationSpec, RankConfig
from openalign.files.manifest import StageInputs
from openalign.run.stage_work import evaluating
from openalign.settings.fields import to_plain
from openalign.telemetry import read_json_lines
from openalign.train.local_ranks import rank_environment
from openalign.train.stage_spec import made_by_ranks, write_spec

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

MIXED = "rank 1 does not have the same as rank 0: "
NUM_FIRST = 6
"""Embeddings of images that there are when rank 1 stalls: its first two, and all four of rank 0."""


@pytest.fixture(scope="module")
def squares(shared_benchmark: Path) -> Path:
    return shared_benchmark


@pytest.fixture(scope="module")
def alone(
    squares: Path, model_folder: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What one process writes."""
    spec = spec_of(squares, model_folder, tmp_path_factory.mktemp("alone"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", 2)
        rank.run(spec)
    return result_of(spec)


def spec_of(
    squares: Path, model: str, root: Path, config: EvaluateConfig | None = None
) -> EvaluationSpec:
    settings = RankConfig(evaluate=config or config_of(squares), benchmarks=benchmarks_of(squares))
    return EvaluationSpec(
        config=to_plain(settings),
        model=model,
        root=str(root),
        stage="evaluate",
        inputs=StageInputs(settings={}, contents={"train": "a"}),
    )


def result_of(spec: EvaluationSpec) -> dict[str, bytes]:
    folder = Path(spec.folder.url)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("run.jsonl", "folders.json")
    }


def run_ranks(spec: EvaluationSpec, **variables: str) -> None:
    """Run two ranks; as under torchrun, the environment asks for one thread in each."""
    made_by_ranks(
        spec,
        lambda url: launch(
            [url],
            count=2,
            work=spec.work,
            module="small_chunks",
            environment=environment() | {"OMP_NUM_THREADS": "1"} | variables,
        ),
    )


def kept(spec: EvaluationSpec) -> dict[str, int]:
    """Return when each chunk of images that is kept was written, by its name."""
    folder = Path(spec.work, "chunks")
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")}


def test_two_ranks_write_the_bytes_of_one(
    squares: Path, model_folder: str, alone: dict[str, bytes], tmp_path: Path
) -> None:
    spec = spec_of(squares, model_folder, tmp_path)

    run_ranks(spec)

    assert {"COMPLETE", "results.json", "embeddings/squares-images.npy"} <= alone.keys()
    assert result_of(spec) == alone
    assert {path.name for path in tmp_path.iterdir()} == {".lock-evaluate", "evaluate"}
    (note,) = read_json_lines((tmp_path / "evaluate" / "run.jsonl").read_text())
    assert (note["ranks"], note["embeddings"]) == (2, 8 + 16 + 4)
    assert 0 <= note["image_wait_share"] <= 1


def test_a_rank_that_is_killed_is_named_and_the_same_command_goes_on(
    squares: Path, model_folder: str, alone: dict[str, bytes], tmp_path: Path
) -> None:
    spec = spec_of(squares, model_folder, tmp_path / "run")
    (tmp_path / "all").mkdir()

    def kill() -> None:
        wait_until(lambda: process_ids(tmp_path) and len(kept(spec)) == NUM_FIRST // 2)
        os.kill(process_ids(tmp_path)[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(StageError, match="rank 1 of 2 was ended by SIGKILL; its log is") as caught:
        run_ranks(spec, STALL=f"1:{tmp_path}")
    killer.join()
    before = kept(spec)
    assert str(Path(spec.work, "logs", "rank-1.log")) in str(caught.value)
    assert not any(map(is_alive, process_ids(tmp_path / "all")))
    assert len(before) == NUM_FIRST // 2

    run_ranks(spec)

    assert result_of(spec) == alone


STARTER = """
import sys
from openalign.evaluate.launch import launch
launch([sys.argv[1]], count=2, work=sys.argv[2], module="small_chunks")
"""


def test_ranks_end_with_a_starter_that_is_killed_and_one_process_goes_on(
    squares: Path, model_folder: str, alone: dict[str, bytes], tmp_path: Path
) -> None:
    spec = spec_of(squares, model_folder, tmp_path / "run")
    write_spec(str(tmp_path / "spec.json"), spec)
    (tmp_path / "all").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path / "spec.json"), spec.work],
        env=environment() | {"STALL": f"0:{tmp_path}"},
    ) as starter:
        wait_until(lambda: process_ids(tmp_path) and len(kept(spec)) == NUM_FIRST // 2)
        starter.kill()
    wait_until(lambda: not any(map(is_alive, process_ids(tmp_path / "all"))))
    before = kept(spec)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", 2)
        patch.setattr(chunks.ChunkStore, "write", refuse_again(set(before)))
        rank.run(spec)

    assert result_of(spec) == alone


def refuse_again(names: set[str]) -> object:
    """Return a way to keep chunks that refuses those of these files."""
    write = chunks.ChunkStore.write

    def refuse(self: chunks.ChunkStore, name: str, *arguments: object) -> object:
        assert f"{name}.npy" not in names, "it is embedded again"
        return write(self, name, *arguments)  # type: ignore[arg-type]

    return refuse


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        pytest.param("inputs", f"{MIXED}train (nothing", id="other inputs"),
        pytest.param("model", f"{MIXED}the model as it was loaded", id="another model"),
        pytest.param("root", "is not the folder that rank 0 has there", id="another disk"),
    ],
)
def test_ranks_that_would_mix_their_rows_are_refused(
    changed: str, named: str, squares: Path, model_folder: str, tmp_path: Path
) -> None:
    """As under torchrun, each rank has what its own machine says."""
    first = spec_of(squares, model_folder, tmp_path / "run")
    other = Path(shutil.copytree(model_folder, tmp_path / "other"))
    edit_json(other / "preprocess.json", max_tokens=5)
    changes = {
        "inputs": {"inputs": StageInputs(settings={}, contents={"benchmarks.squares": "b"})},
        "model": {"model": str(other)},
        "root": {"root": str(tmp_path / "own")},
    }
    specs = [first, msgspec.structs.replace(first, **changes[changed])]
    port = free_port()

    with ExitStack() as held:
        started: list[subprocess.Popen[bytes]] = []
        for number, spec in enumerate(specs):
            write_spec(str(tmp_path / f"{number}.json"), spec)
            process = subprocess.Popen(
                [sys.executable, "-m", "small_chunks", str(tmp_path / f"{number}.json")],
                env=environment() | rank_environment(number, 2, port),
                stdin=subprocess.PIPE,
                stderr=held.enter_context((tmp_path / f"{number}.log").open("wb")),
            )
            started.append(held.enter_context(process))
        codes = [process.wait(120) for process in started]

    assert codes == [2, 2]
    for number in range(2):
        text = (tmp_path / f"{number}.log").read_text()
        assert "error: " in text
        assert named in text
    assert not (tmp_path / "run" / "evaluate").exists()


def test_ranks_find_every_broken_image_together(
    squares: Path, model_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each in its own share; the error counts those of all."""
    folder = shutil.copytree(squares, tmp_path / "benchmark")
    for name in ("red.png", "orange.png"):  # in the first and in the last chunk
        (folder / "images" / name).write_bytes(b"no image")
    spec = spec_of(folder, model_folder, tmp_path / "run")

    with pytest.raises(StageError, match=r"rank [01] of 2 ended with code 2"):
        run_ranks(spec)

    said = capsys.readouterr().err  # rank 0's messages
    assert "error: 2 of 8 images cannot be used, and 0 may be left out" in said
    assert all(f"{name}.png: an image cannot be decoded" in said for name in ("red", "orange"))
    bounded = spec_of(folder, model_folder, tmp_path / "run", config_of(folder, max_bad_images=2))
    run_ranks(bounded)
    assert bounded.folder.require().states == {
        "embedded": 6,
        "missing": 0,
        "unreadable": 2,
    }


def test_in_one_process_no_other_is_started(
    squares: Path,
    model_folder: str,
    alone: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 2)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it starts a process"))
    spec = spec_of(squares, model_folder, tmp_path)

    manifest = evaluating.start(spec, num_processes=1)

    assert manifest.num_outputs == 8
    assert result_of(spec) == alone
    evaluating.start(spec, num_processes=1)  # up to date


def test_a_mistake_is_told_as_it_is_in_one_process(
    squares: Path, model_folder: str, tmp_path: Path
) -> None:
    spec = spec_of(squares, str(tmp_path / "no model"), tmp_path)

    with pytest.raises(InputError, match="no model"):
        evaluating.start(spec, num_processes=1)
