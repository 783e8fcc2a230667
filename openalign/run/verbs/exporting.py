"""`openalign export`: the model of a checkpoint that a training run has kept."""

from openalign.errors import ConfigError, StageError
from openalign.files import storage
from openalign.files.names import CHECKPOINTS_FOLDER, EXPORT_FOLDER
from openalign.run.contract import Run
from openalign.run.lineage import read_inputs
from openalign.run.stages import STAGES, training_spec
from openalign.telemetry import say
from openalign.train.checkpoint_names import steps_in


def export(run: Run, *, step: int | None, output: str) -> str:
    """Write the model of a checkpoint as a Hugging Face folder, and return where it is.

    The checkpoint is that of the pipeline's settings where there is one, complete or not, and else
    that of the complete run.

    Raises:
        ConfigError: no step is named.
        StageError: there is no such checkpoint, it is damaged, or the output is there already.
    """
    spec = training_spec(run, read_inputs(run, STAGES["train"]))
    folders = [spec.output, spec.folder.url]
    steps = {url: steps_in(storage.join(url, CHECKPOINTS_FOLDER)) for url in folders}
    there = sorted({found for url in folders for found in steps[url]})
    kept = (
        f"there are: {', '.join(map(str, there)) or 'none'}; `train.keep_checkpoints` and "
        "`train.keep_every_steps` say which are kept"
    )
    if step is None:
        url = storage.join(spec.folder.url, EXPORT_FOLDER)
        done = f": the last step's model is {url} already" if spec.folder.read() else ""
        raise ConfigError(
            f"--step is not named{done}",
            hint=f"name a checkpoint with --step N; {kept}",
        )
    target = output or storage.join(run.config.root, f"export-step-{step:08d}")
    if storage.exists(target):
        raise StageError(
            f"{target} is there already", hint="remove it, or name another with --output"
        )
    having = [url for url in folders if step in steps[url]]
    if not having:
        raise StageError(f"{run.config.name} has no checkpoint of step {step}", hint=kept)
    from openalign.train.export_step import export_step

    say(f"export    loads step {step:,}, and estimates its batch norms' statistics again")
    export_step(having[0], step, spec=spec, output=target)
    return target
