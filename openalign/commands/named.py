"""The run that a command names: by a pipeline, by a run's own root, or by a model."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from openalign.commands.contract import Options
from openalign.errors import ConfigError
from openalign.run.settings_files import SETTINGS_FILE, root_called
from openalign.run.stages import STAGES

if TYPE_CHECKING:
    from openalign.run.config import PipelineConfig
    from openalign.run.contract import Run


def config_of(options: Options) -> "PipelineConfig":
    """Return the pipeline that a command names: of the settings file, or of a run's own root."""
    from openalign.run.translated import from_flags

    require_one_source(options)
    model: str | None = getattr(options, "model", None)
    if model:
        root = from_flags.root_of(model, options.overrides)
        return from_flags.recorded(root, options.overrides, model=model)
    return config_named(options, options.pipeline)


def config_named(options: Options, name: str) -> "PipelineConfig":
    """Return a pipeline by its name in the settings file, or by its run's own root.

    The root of a run in `runs` that no pipeline has the name of may be called by its last part.
    """
    from openalign.run.config import load_pipeline
    from openalign.run.translated import from_flags

    is_root = "/" in name
    root = (name.rstrip("/") or "/") if is_root else root_called(name, options.config)
    if root is None:
        return load_pipeline(options.config, name, options.overrides)
    keeps_settings = from_flags.keeps_settings(root)
    if not keeps_settings and (pipeline := _pipeline_in(root, options.config)):
        return load_pipeline(options.config, pipeline, options.overrides)
    if not keeps_settings and not is_root:
        return load_pipeline(options.config, name, options.overrides)  # which there is none of
    return from_flags.recorded(root, options.overrides)


def _pipeline_in(root: str, settings_file: str) -> str | None:
    """Return the name of the pipeline whose run lies in a root; None where there is no one."""
    from openalign.files import storage
    from openalign.run.config import load_pipeline
    from openalign.run.settings_files import read_settings_file

    found = read_settings_file(settings_file)
    there: list[str] = []
    for name in dict.fromkeys([*found.own, *found.shipped]):
        with suppress(ConfigError):  # another pipeline's mistake
            if storage.absolute(load_pipeline(settings_file, name).root) == storage.absolute(root):
                there.append(name)
    return there[0] if len(there) == 1 else None


def require_one_source(options: Options) -> None:
    """See that a command names a pipeline or a model, and no settings file that is not read."""
    model: str | None = getattr(options, "model", None)
    if model and options.pipeline is not None and hasattr(options, "words"):
        options.words.insert(0, options.pipeline)  # the first word that search looks for
        options.pipeline = None
    if model and options.pipeline is not None:
        raise ConfigError("a pipeline and `--model` exclude each other", hint="name one of them")
    if not model and options.pipeline is None:
        raise ConfigError(
            "no pipeline is named",
            hint="name one of the settings file, or a model with --model FOLDER",
        )
    if model and options.config != SETTINGS_FILE:
        raise ConfigError(
            "`--config` and `--model` exclude each other",
            hint="--set changes settings beside a model, and a pipeline may name it as "
            "`evaluate.model`",
        )


def run_of(options: Options, beam_options: Sequence[str] = ()) -> "Run":
    """Return the run that a command names."""
    replace = getattr(options, "replace", False)
    return run_with(config_of(options), beam_options=beam_options, replace=replace)


def run_with(
    config: "PipelineConfig", *, beam_options: Sequence[str] = (), replace: bool = False
) -> "Run":
    """Return a run of a pipeline, with messages set up."""
    from openalign.run.contract import Run
    from openalign.telemetry import set_up_logging

    set_up_logging()
    return Run(stages=STAGES, config=config, beam_options=tuple(beam_options), replace=replace)


def refuse(beam_options: Sequence[str]) -> None:
    """Refuse Beam's options where no Beam job is run."""
    if beam_options:
        raise ConfigError(
            f"`-- {' '.join(beam_options)}` has no meaning here",
            hint="only verbs that run Beam jobs take its options",
        )
