"""`openalign export`: the model of a checkpoint that a training run has kept."""

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.names import CHECKPOINTS_FOLDER
from openalign.run.contract import Run
from openalign.run.lineage import read_inputs
from openalign.run.stages import STAGES, training_spec
from openalign.telemetry import say
from openalign.train.checkpoint_names import steps_in


def export(run: Run, *, step: int, output: str) -> str:
    """Write the model of a checkpoint as a Hugging Face folder, and return where it is.

    The checkpoint is that of the pipeline's settings where there is one, complete or not, and else
    that of the complete run.

    Raises:
        StageError: there is no such checkpoint, it is damaged, or the output is there already.
    """
    spec = training_spec(run, read_inputs(run, STAGES["train"]))
    target = output or storage.join(run.config.root, f"export-step-{step:08d}")
    if storage.exists(target):
        raise StageError(
            f"{target} is there already", hint="remove it, or name another with --output"
        )
    folders = [spec.output, spec.folder.url]
    steps = {url: steps_in(storage.join(url, CHECKPOINTS_FOLDER)) for url in folders}
    having = [url for url in folders if step in steps[url]]
    if not having:
        there = sorted({found for url in folders for found in steps[url]})
        raise StageError(
            f"{run.config.name} has no checkpoint of step {step}",
            hint=f"there are: {', '.join(map(str, there)) or 'none'}; `train.keep_checkpoints` and "
            "`train.keep_every_steps` say which are kept",
        )
    from openalign.train.export_step import export_step

    say(f"export    loads step {step:,}, and estimates its batch norms' statistics again")
    export_step(having[0], step, spec=spec, output=target)
    return target
