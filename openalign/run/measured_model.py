"""The model that `evaluate` measures and `search` asks: a folder of the user's, or the run's own.

The run's own is the export of `train`. What its manifest names is checked before it is read.
"""

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.folder import opened
from openalign.files.manifest import StageFolder
from openalign.files.names import EXPORT_FOLDER
from openalign.run.contract import Run
from openalign.train.saved_files import model_files


def model_url(run: Run) -> str:
    """Return the folder of the model, where it can be read as it was made.

    Raises:
        StageError: `train` is not complete, or its export is not what it has written.
        InputError: there is no model in the folder, or it cannot be reached.
    """
    if run.config.evaluate.model:
        return run.config.evaluate.model
    folder = run.folder("train")
    problem = _problem(folder)
    if problem:
        raise StageError(
            problem,
            hint="put the export back from a copy; or train again: remove "
            f"{folder.url} and run `openalign train {run.config.name}`",
        )
    return storage.join(folder.url, EXPORT_FOLDER)


def _problem(folder: StageFolder) -> str:
    """Return in what an export is not what the manifest names; empty where it is."""
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
