"""The files that a run begins from: where they lie, and the hash of their content.

The hash is part of the run's identity, where they lie is not: a folder that is moved changes
nothing, a byte that is changed makes another run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.facts import TrainFacts
from openalign.files.fingerprints import fingerprint_of
from openalign.files.folder import Folder, opened
from openalign.files.hash_cache import hashes_of
from openalign.files.manifest import StageFolder
from openalign.files.names import CHECKPOINTS_FOLDER, EXPORT_FOLDER
from openalign.train.checkpoint_names import MANIFEST_FILE, name_of, steps_in
from openalign.train.saved_files import (
    CONFIG_FILE,
    model_files,
    processor_files,
    weight_files,
)
from openalign.train.starting_points import FromModel, FromRun, FromTowers, StartingPoint

STAGE = "train"
"""The folder of a run's training."""

IMAGE = "image"
TEXT = "text"
"""The towers, as the names of their files begin."""

CHECKPOINT = "checkpoint"
"""The manifest of a checkpoint, which holds the hashes of its other files."""


class LastCheckpoint(NamedTuple):
    """The checkpoint of another run's last step."""

    folder: str
    """URL of the folder of all its checkpoints."""

    step: int

    @property
    def manifest(self) -> str:
        """URL of what holds the hashes of its files."""
        return storage.join(self.folder, name_of(self.step), MANIFEST_FILE)


def fingerprint(start: StartingPoint, *, cache: str) -> str:
    """Return the hash of what a run begins from; `cache` is the URL of a cache of files' hashes.

    Raises:
        InputError: it is not there, or not what it must be.
    """
    _check_there(start)
    urls = files_of(start)
    hashes = hashes_of(urls.values(), cache=cache)
    gone = [url for url in urls.values() if url not in hashes]
    if gone:
        raise InputError(f"{gone[0]} cannot be read: there is no such file")
    return fingerprint_of({name: hashes[url] for name, url in urls.items()})


def files_of(start: StartingPoint) -> dict[str, str]:
    """Return the URL of every file that counts, by a name that does not tell where it lies.

    Raises:
        InputError: a folder is not there, or not that of what it must be.
    """
    if isinstance(start, FromTowers):
        found = {} if start.image is None else {IMAGE: start.image.path}
        if start.text:
            with opened(start.text) as files:
                found |= {f"{TEXT}/{name}": files.url_of(name) for name in bert_files(files)}
        return found
    with opened(model_folder(start)) as files:
        found = {name: files.url_of(name) for name in model_files(files)}
    checkpoint = last_checkpoint(start)
    return found if checkpoint is None else found | {CHECKPOINT: checkpoint.manifest}


def _check_there(start: StartingPoint) -> None:
    """See that what a path of this machine leads to is there, and say which setting named it."""
    match start:
        case FromModel():
            named = {"path": start.path}
        case FromRun():  # of which more is known than that
            named = {}
        case FromTowers():
            named = {"text": start.text, "image.path": start.image.path if start.image else ""}
    for name, url in named.items():
        if url and storage.is_local(url) and not storage.exists(url):
            where = "" if Path(url).is_absolute() else f", which is {storage.absolute(url)}"
            raise InputError(
                f"`train.init_from.{name}` is {url}{where}, and nothing is there",
                hint="name what is on this machine, or a URL such as hf://kakaobrain/align-base",
            )


def last_checkpoint(start: StartingPoint) -> LastCheckpoint | None:
    """Return what a run goes on from; None where it begins with weights alone.

    Raises:
        InputError: the other run's training has kept no checkpoint of its last step.
        StageError: its folder cannot be listed.
    """
    if not isinstance(start, FromRun) or start.state == "weights":
        return None
    run = StageFolder(start.root, STAGE)
    step = run.require().facts_as(TrainFacts).steps
    folder = storage.join(run.url, CHECKPOINTS_FOLDER)
    if step not in steps_in(folder):
        raise InputError(
            f"`train.init_from.state` is all, and the run in {start.root} has kept no checkpoint "
            f"of its last step, {step}",
            hint="write `state: weights`, which begins with its export",
        )
    return LastCheckpoint(folder, step)


def bert_files(folder: Folder) -> list[str]:
    """Return the names of the files of a BERT and its tokenizer.

    Raises:
        InputError: the folder lacks a part of it.
    """
    return [CONFIG_FILE, *weight_files(folder), *processor_files(folder)]


def model_folder(start: FromModel | FromRun) -> str:
    """Return the folder of a model: the one that is named, or the export of a complete run.

    Raises:
        InputError: the run's training is not complete, or its export is not what it has written.
    """
    if isinstance(start, FromModel):
        return start.path
    folder = StageFolder(start.root, STAGE)
    if folder.read() is None:
        raise InputError(
            f"the training of the run in {start.root}, which `train.init_from` names, is not "
            "complete",
            hint="`root` is a run's folder, such as runs/align; `openalign train` completes it",
        )
    problem = export_problem(folder)
    if problem:
        raise InputError(problem, hint="put the export back from a copy, or train that run again")
    return storage.join(folder.url, EXPORT_FOLDER)


def export_problem(folder: StageFolder) -> str:
    """Return in what a training's export is not what its manifest names; empty if it is."""
    prefix = f"{EXPORT_FOLDER}/"
    written = {f.name: f.sha256 for f in folder.require().files if f.name.startswith(prefix)}
    for name, sha256 in written.items():
        file = storage.join(folder.url, name)
        if not storage.exists(file):
            return f"{file} is gone"
        if storage.sha256_of(file) != sha256:
            return f"{file} was changed after `train` ended: its sha256 is not the manifest's"
    with opened(storage.join(folder.url, EXPORT_FOLDER)) as files:
        added = [name for name in model_files(files) if prefix + name not in written]
        return f"{files.url_of(added[0])} was put there after `train` ended" if added else ""


def hash_of_read(hashes: Mapping[str, str]) -> str:
    """Return the fingerprint of files that were read: their hashes, by the names of `files_of`."""
    return fingerprint_of(dict(hashes))
