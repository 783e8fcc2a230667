"""The model that `evaluate` measures and `search` asks: a folder of the user's, or the run's own.

The run's own is the export of `train`. What its manifest names is checked before it is read.
"""

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.names import EXPORT_FOLDER
from openalign.run.contract import Run
from openalign.train.start.origin import export_problem


def model_url(run: Run) -> str:
    """Return the folder of the model, where it can be read as it was made.

    Raises:
        StageError: `train` is not complete, or its export is not what it has written.
        InputError: there is no model in the folder, or it cannot be reached.
    """
    if run.config.evaluate.model:
        return run.config.evaluate.model
    folder = run.folder("train")
    problem = export_problem(folder)
    if problem:
        raise StageError(
            problem,
            hint="put the export back from a copy; or train again: remove "
            f"{folder.url} and run `openalign train {run.config.name}`",
        )
    return storage.join(folder.url, EXPORT_FOLDER)
