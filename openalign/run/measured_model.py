"""The model that `evaluate` measures and `search` asks: a folder of the user's, or the run's own.

The run's own is the export of `train`. What its manifest names is checked before it is read.
"""

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.folder import opened
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
    written = {f.name: f.sha256 for f in folder.require().files}
    url = storage.join(folder.url, EXPORT_FOLDER)
    with opened(url) as files:
        present = {f"{EXPORT_FOLDER}/{name}" for name in model_files(files)}
    exported = {name for name in written if name.startswith(f"{EXPORT_FOLDER}/")}
    for name in sorted(exported | present):
        file = storage.join(folder.url, name)
        problem = ""
        if name not in written:
            problem = "was put there after `train` ended"
        elif not storage.exists(file):
            problem = "is gone"
        elif storage.sha256_of(file) != written[name]:
            problem = "was changed after `train` ended: its sha256 is not the manifest's"
        if problem:
            raise StageError(
                f"{file} {problem}",
                hint="put the export back from a copy; or train again: remove "
                f"{folder.url} and run `openalign train {run.config.name}`",
            )
    return url
