"""The inputs of a stage's result, and whether the results before it belong together."""

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.manifest import StageInputs
from openalign.run.contract import Run, Stage
from openalign.run.stages import STAGES, stage_names, stages_behind, stages_read
from openalign.settings.fields import identity


def read_inputs(run: Run, stage: Stage) -> StageInputs:
    """Return what a stage's result would depend on now.

    Raises:
        StageError: an earlier stage is not complete, left nothing, or was made from another result
            of the stage before it than the one that is there.
        InputError: the root, or something outside the run, cannot be read.
    """
    storage.check_reachable(run.config.root)
    fingerprints = _consistent_results(run, stage)
    settings = {"settings": identity(stage.settings(run.config))}
    contents = {name: fingerprints[name] for name in stages_read(run.config, stage.name)}
    return StageInputs(settings=settings, contents=contents | stage.outside(run.config))


def _consistent_results(run: Run, stage: Stage) -> dict[str, str]:
    """Return the content fingerprint of every stage that this one goes back to.

    Raises:
        StageError: one is not complete, or was made from another result than the one that is there.
    """
    behind = stages_behind(run.config, stage.name)
    fingerprints: dict[str, str] = {}
    for name in stage_names(run.config):
        if name not in behind:
            continue
        manifest = run.folder(name).require()
        reads = stages_read(run.config, name)
        for earlier in STAGES:
            now = fingerprints[earlier] if earlier in reads else None
            if manifest.inputs.get(earlier) != now:
                other = (
                    f"another result of `{earlier}` than the one that is there now"
                    if now
                    else f"a result of `{earlier}`, which this pipeline does not have it read"
                )
                raise StageError(
                    f"{run.folder(name).url} was made from {other}",
                    hint=f"run `openalign {name} {run.config.name}` first",
                )
        fingerprints[name] = manifest.content_fingerprint()
    return fingerprints
