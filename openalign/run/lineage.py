"""The inputs of a stage's result, and whether the results before it belong together."""

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.manifest import StageInputs
from openalign.run.contract import Run, Stage
from openalign.run.stages import STAGES, stage_names
from openalign.settings.fields import identity


def read_inputs(run: Run, stage: Stage) -> StageInputs:
    """Return what a stage's result would depend on now.

    Raises:
        StageError: an earlier stage is not complete, left nothing, or was made from another result
            of the stage before it than the one that is there.
        InputError: the root, or something outside the run, cannot be read.
    """
    storage.check_reachable(run.config.root)
    _check_lineage(run, stage.name)
    settings = {"settings": identity(stage.settings(run.config))}
    contents = {
        reads: run.folder(reads).require().content_fingerprint()
        for reads in _reads(run, stage.name)
    }
    contents |= stage.outside(run.config)
    return StageInputs(settings=settings, contents=contents)


def _check_lineage(run: Run, name: str) -> None:
    """Check that all stages before this one were made from each other's present results."""
    for reads in _reads(run, name):
        _check_lineage(run, reads)
        made_from = run.folder(reads).require().inputs
        for earlier in _reads(run, reads):
            if made_from[earlier] != run.folder(earlier).require().content_fingerprint():
                raise StageError(
                    f"{run.folder(reads).url} was made from another result of `{earlier}` than "
                    "the one that is there now",
                    hint=f"run `openalign {reads} {run.config.name}` first",
                )


def _reads(run: Run, name: str) -> list[str]:
    present = stage_names(run.config)
    return [reads for reads in STAGES[name].reads if reads in present]
