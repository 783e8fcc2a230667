"""A tiny corpus and model for the training tests, and ranks that train on it.

`start_ranks` runs several without a launcher; `python -m tiny_training JOB.pkl` is one that is
started anew: a pickled (function, arguments).
"""

import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from forked_ranks import ForkedRank
from PIL import Image

from openalign.files import storage
from openalign.files.hashing import candidate_key, image_key
from openalign.files.manifest import DataFile, StageFolder, StageInputs, StageResult
from openalign.files.schemas import TRAINING
from openalign.files.shards import Sample, ShardReader, write_shard
from openalign.files.tables import read_table, write_table
from openalign.files.training_index import write_training_index
from openalign.settings.fields import identity, to_plain
from openalign.train import local_ranks
from openalign.train.checkpoints.manifest import Rewind
from openalign.train.config import (
    Augmentation,
    Duration,
    ImageTower,
    ModelConfig,
    TextTower,
    TrainConfig,
)
from openalign.train.data.index import TrainingIndex
from openalign.train.data.index_copies import IndexFile, paths_on_this_machine
from openalign.train.data.sample_hash import first_hash
from openalign.train.data.vocabulary import vocabulary_of
from openalign.train.data.words import WordRules
from openalign.train.local_ranks import end_with_starter, free_port
from openalign.train.rank import TrainingSpec
from openalign.train.start.origin import LastCheckpoint
from openalign.train.stopping import STOPPED
from openalign.train.updates import AdamW, Schedule, Temperature

COLORS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
SHAPES = ("circle", "square", "stripe", "corner")
_RGB = {
    "red": (220, 30, 30),
    "green": (30, 180, 60),
    "blue": (40, 60, 220),
    "yellow": (230, 220, 40),
    "purple": (140, 40, 160),
    "orange": (240, 140, 20),
    "white": (240, 240, 240),
    "black": (20, 20, 20),
}


@dataclass(frozen=True)
class Corpus:
    """Where a tiny corpus lies."""

    training: list[str]
    index: list[IndexFile]
    shards: str

    def mapped(self) -> TrainingIndex:
        return TrainingIndex(paths_on_this_machine(self.index))

    def table(self) -> pa.Table:
        return pa.concat_tables([read_table(url) for url in self.training])


def jpeg_of(color: str, shape: str, *, side_px: int = 40) -> bytes:
    """Return a JPEG of a colored shape on gray."""
    image = np.full((side_px, side_px, 3), 128, dtype=np.uint8)
    y, x = np.mgrid[0:side_px, 0:side_px] / side_px - 0.5
    inside = {
        "circle": x**2 + y**2 < 0.12,
        "square": (abs(x) < 0.3) & (abs(y) < 0.3),
        "stripe": abs(x) < 0.15,
        "corner": (x < 0) & (y < 0),
    }[shape]
    image[inside] = _RGB[color]
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "JPEG", quality=90)
    return sink.getvalue()


def make_corpus(folder: Path) -> Corpus:
    """Write 32 images of 40 px in two shards, with two alt-texts each: 64 pairs."""
    rows: list[dict[str, Any]] = []
    for number, colors in enumerate((COLORS[:4], COLORS[4:])):
        shard = f"shard-{number:05d}-00000.tar"
        names = [(color, shape) for color in colors for shape in SHAPES]
        samples = [
            Sample(image_key(f"http://pictures.example/{color}-{shape}.jpg"), {"jpg": jpeg})
            for color, shape in names
            for jpeg in [jpeg_of(color, shape)]
        ]
        write_shard(str(folder / "shards"), shard, samples)
        members = read_table(str(folder / "shards" / shard.replace(".tar", ".index.parquet")))
        for (color, shape), place in zip(names, members.to_pylist(), strict=True):
            url = f"http://pictures.example/{color}-{shape}.jpg"
            where = {name: place[name] for name in ("offset", "length", "xxh3")}
            where |= {"shard": shard, "image": (number * 4 + colors.index(color)) * 4}
            where["image"] += SHAPES.index(shape)
            rows += [
                {**where, "alt_text": text, "key": candidate_key(url, text)}
                for text in (f"a {color} {shape}", f"picture of one {shape} in {color}")
            ]
    rows.sort(key=lambda row: row["key"])
    selected = str(folder / "selected")
    training: list[str] = []
    index: list[IndexFile] = []
    # All pairs of an image are in one file, as `select` writes them.
    for number, start in enumerate((0, 16)):
        held = [
            {**row, "image": row["image"] - start}
            for row in rows
            if start <= row["image"] < start + 16
        ]
        table = pa.Table.from_pylist(held, schema=TRAINING)
        name = f"training-0000{number}-of-00002.parquet"
        write_table(selected, name, table)
        written = write_training_index(selected, name, table)
        training.append(storage.join(selected, name))
        index.append(
            IndexFile(
                url=storage.join(selected, written.name),
                num_bytes=written.num_bytes,
                sha256=written.sha256,
            )
        )
    return Corpus(training, index, str(folder / "shards"))


def make_run(folder: Path, config: TrainConfig) -> Path:
    """Write a run whose stages before training are complete; return its `pipelines.yaml`.

    The run is called `tiny` and lies in `folder / "run"`.
    """
    corpus = make_corpus(folder / "corpus")
    root = folder / "run"
    candidates = seal_stage(root, "candidates", [], {})
    filtered = seal_stage(root, "filtered", [], {"harvest": candidates})
    shards = sorted(Path(corpus.shards).iterdir())
    fetched = seal_stage(root, "shards", shards, {"filter": filtered})
    selected = sorted(Path(corpus.training[0]).parent.iterdir())
    seal_stage(root, "selected", selected, {"fetch": fetched}, num_rows=64)
    pipeline = {
        "root": str(root),
        "harvest": {"source": {"kind": "table", "path": "never read"}},
        "train": to_plain(config),
    }
    path = folder / "pipelines.yaml"
    path.write_text(yaml.safe_dump({"tiny": pipeline}))
    return path


def seal_stage(
    root: Path,
    name: str,
    files: Sequence[Path],
    inputs: dict[str, str],
    *,
    num_rows: int | None = None,
) -> str:
    """Seal copies of files as a stage's result; return its content's fingerprint.

    `num_rows` are those of all files; None stands for a row each.
    """
    stage = StageFolder(str(root), name)
    depends = StageInputs(settings={}, contents=inputs)
    partial = Path(stage.partial_url(depends.fingerprint))
    partial.mkdir(parents=True)
    for file in files:
        shutil.copy(file, partial)
    entries = [DataFile.of(file.name, storage.found_at(str(file)), num_rows=1) for file in files]
    count = len(files) if num_rows is None else num_rows
    result = StageResult(num_inputs=count, states={"made": count}, num_outputs=count, files=entries)
    return stage.seal(result, depends).content_fingerprint()


def tiny_model(**changes: Any) -> ModelConfig:
    """Return towers of about 0.15 M parameters at 32 px."""
    values: dict[str, Any] = {
        "image_tower": ImageTower(
            preset="b0", width=0.25, depth=0.3, batch_norm_momentum=0.1, stochastic_depth=0.0
        ),
        "text_tower": TextTower(
            preset="mini", num_layers=1, hidden_size=32, num_heads=2, dropout=0.1
        ),
        "resize_px": 36,
        "crop_px": 32,
        "max_tokens": 16,
        "vocabulary_size": 500,
    }
    return ModelConfig(**values | changes)


def tiny_config(**changes: Any) -> TrainConfig:
    """Return a run of eight steps of two blocks of 8 pairs with a checkpoint each third step."""
    values: dict[str, Any] = {
        "global_batch_size": 16,
        "block_size": 8,
        "duration": Duration(steps=8),
        "model": tiny_model(),
        "optimizer": AdamW(learning_rate=2e-3),
        "temperature": Temperature(initial=0.1, learning_rate=1e-2),
        "schedule": Schedule(warmup_steps=2, decay="cosine"),
        "augmentation": Augmentation(horizontal_flip=False, scale=0.1, shift=0.05),
        "batch_norm_batches": 2,
        "checkpoint_every_steps": 3,
        "decode_threads": 1,
    }
    return TrainConfig(**values | changes)


def start_ranks(
    job: tuple[Callable[..., None], tuple[Any, ...]],
    *,
    num_ranks: int,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> list[ForkedRank]:
    """Start ranks that each call the function with the arguments; they meet on a free port."""
    path = _pickled(job, folder)
    return [
        ForkedRank(path, {**of_rank, **(environment or {})}, said=folder / f"rank-{rank}.log")
        for rank, of_rank in enumerate(_environments(num_ranks))
    ]


def start_new_ranks(
    job: tuple[Callable[..., None], tuple[Any, ...]], *, num_ranks: int, folder: Path
) -> list[subprocess.Popen[str]]:
    """Do the same with processes that import everything themselves."""
    return start_as_ranks(["-m", "tiny_training", str(_pickled(job, folder))], num_ranks=num_ranks)


def start_as_ranks(arguments: Sequence[str], *, num_ranks: int) -> list[subprocess.Popen[str]]:
    """Start Python with these arguments in every one of several ranks, as torchrun would."""
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=of_rank,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for of_rank in _environments(num_ranks)
    ]


def _pickled(job: tuple[Callable[..., None], tuple[Any, ...]], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "job.pkl"
    path.write_bytes(pickle.dumps(job))
    return path


def _environments(num_ranks: int) -> list[dict[str, str]]:
    """Return the environment of each of several ranks, in their order."""
    port = free_port()
    return [
        rank_environment() | local_ranks.rank_environment(rank, num_ranks, port)
        for rank in range(num_ranks)
    ]


def rank_environment() -> dict[str, str]:
    """Return an environment in which a rank finds the tests' modules and takes one core."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def finish(processes: Sequence[subprocess.Popen[str] | ForkedRank]) -> list[str]:
    """Wait for ranks, return what they said; every one must have ended well."""
    said = [process.communicate()[0] for process in processes]
    for process, text in zip(processes, said, strict=True):
        assert process.returncode == 0, text
    return said


def spec_for(config: TrainConfig, corpus: Corpus, root: str) -> TrainingSpec:
    """Return what the ranks of a run in `root` are told."""
    settings = {"settings": identity(config)}
    contents = {"select": "what was selected", "fetch": "what was fetched"}
    return TrainingSpec(
        config=to_plain(config),
        training=corpus.training,
        index=corpus.index,
        shards=corpus.shards,
        places={},
        root=root,
        stage="train",
        inputs=StageInputs(settings=settings, contents=contents),
    )


def train(
    config: TrainConfig,
    corpus: Corpus,
    output: str,
    work: str,
    *,
    other_run: LastCheckpoint | None = None,
    rewinds: Sequence[Rewind] = (),
) -> None:
    """Be one rank of a training run whose stage nobody locks or seals."""
    from openalign.train import loop, zero
    from openalign.train.result import write_result
    from openalign.train.state import RunInputs
    from openalign.train.work_folder import local_folders

    folders = local_folders(output, work)
    vocabulary = vocabulary_of(
        corpus.table()["alt_text"].to_pylist(),
        size=config.model.vocabulary_size,
        rules=WordRules.of(config.model),
    )
    inputs = RunInputs(
        index=corpus.mapped(),
        first_hash=first_hash([file.sha256 for file in corpus.index]),
        vocabulary=vocabulary,
        shards=ShardReader(corpus.shards),
        folders=folders,
        made_from={},
        other_run=other_run,
    )
    with zero.joined_ranks() as ranks:
        trained = loop.run(config, ranks, inputs, rewinds=rewinds)
        if ranks.rank == 0:
            write_result(trained, config, folders)


def result_bytes(root: Path) -> dict[str, bytes]:
    """Return the files of a run's training that must not depend on its history, by name."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in (root / "train").rglob("*")
        if path.is_file()
        and path.name != "run.jsonl"
        and {"tensorboard", "checkpoints"}.isdisjoint(path.parts)
    }


def end_with_a_mistake(what: str) -> None:
    """End as a rank does whose user made a mistake."""
    sys.stderr.write(f"train     looks\nerror: {what} is gone\n\nhint: put it there\n")
    sys.exit(2)


def end_killed() -> None:
    """End as a rank does where memory has run out."""
    os.kill(os.getpid(), signal.SIGKILL)


def write_device(path: str) -> None:
    """Write what a rank runs on, and which GPUs it may use."""
    from openalign.train import zero

    with zero.joined_ranks() as ranks:
        Path(path).write_text(f"{ranks.device}, of {os.environ['CUDA_VISIBLE_DEVICES']}")


def sleep(folder: str) -> None:
    """Be a rank that never ends by itself, under a file that bears its number."""
    end_with_starter()
    Path(folder, f"{os.getpid()}.pid").touch()
    while True:
        time.sleep(60)


def save_slowly(folder: str, seconds: float) -> None:
    """Be a rank that takes some seconds to save once it is asked to stop."""

    def save(*_: Any) -> None:
        time.sleep(seconds)
        Path(folder, f"{os.getpid()}.saved").touch()
        sys.exit(STOPPED)

    signal.signal(signal.SIGUSR1, save)
    sleep(folder)


def be_deaf(folder: str) -> None:
    """Be a rank that takes longer to save than it is given."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    sleep(folder)


def main() -> None:
    function, arguments = pickle.loads(Path(sys.argv[1]).read_bytes())
    function(*arguments)


if __name__ == "__main__":
    main()
