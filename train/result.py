"""What a training run leaves: the export, and the stage's result with every file that counts."""

from openalign.files import storage
from openalign.files.facts import HELD_OUT, TrainFacts
from openalign.files.manifest import DataFile, StageResult
from openalign.files.names import (
    EXPORT_FOLDER,
    METRICS_FILE,
    REWOUND_FILE,
    SKIPPED_FILE,
    VOCABULARY_FILE,
)
from openalign.train.config import TrainConfig
from openalign.train.loop import Trained
from openalign.train.model.export import write_export
from openalign.train.model.pretrained import Pretrained
from openalign.train.work_folder import Folders

_LINES = (".jsonl", ".txt")
"""Files whose rows are their lines."""


def write_result(
    trained: Trained,
    config: TrainConfig,
    folders: Folders,
    *,
    pretrained: Pretrained | None = None,
) -> StageResult:
    """Write the export beside the run's other files and return the stage's result; rank 0 only."""
    folder = str(folders.result)
    write_export(
        storage.join(folder, EXPORT_FOLDER),
        weights=trained.weights,
        vocabulary=trained.vocabulary,
        model=config.model,
        pretrained=pretrained,
    )
    num_seen = min(trained.num_pairs, trained.num_positions)
    states = {"trained_on": num_seen, "never_drawn": trained.num_pairs - num_seen}
    if config.validation is not None:
        states[HELD_OUT] = trained.num_held_out
    return StageResult(
        num_inputs=sum(states.values()),
        states=states,
        num_outputs=num_seen,
        files=data_files(folder),
        facts=TrainFacts(
            steps=trained.num_steps,
            skipped_steps=trained.num_skipped,
            sample_hash=trained.sample_hash,
            vocabulary_size=len(trained.vocabulary),
            exported_step=trained.exported_step,
        ),
    )


def data_files(folder: str) -> list[DataFile]:
    """List what belongs to the result; times and TensorBoard's files do not."""
    exported = storage.list_files(storage.join(folder, EXPORT_FOLDER))
    names = [VOCABULARY_FILE, METRICS_FILE, SKIPPED_FILE, REWOUND_FILE]
    names += [f"{EXPORT_FOLDER}/{name}" for name in exported]
    return [
        _data_file(folder, name) for name in names if storage.exists(storage.join(folder, name))
    ]


def _data_file(folder: str, name: str) -> DataFile:
    url = storage.join(folder, name)
    num_rows = storage.read_bytes(url).count(b"\n") if name.endswith(_LINES) else 1
    return DataFile.of(name, storage.found_at(url), num_rows=num_rows)
