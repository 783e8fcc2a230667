"""`openalign export`: the model of a checkpoint that a training run has kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import yaml

from openalign.errors import ConfigError, InputError, StageError
from openalign.files import storage
from openalign.files.names import CHECKPOINTS_FOLDER, EXPORT_FOLDER
from openalign.run import messages
from openalign.run.consent import read_as_they_are
from openalign.run.contract import Run
from openalign.run.lineage import read_inputs
from openalign.run.stages import STAGES, training_spec
from openalign.settings.differences import settings_that_differ
from openalign.settings.fields import to_plain
from openalign.settings.yaml_reader import Node, override_node, read_plain
from openalign.telemetry import say
from openalign.train.checkpoint_names import name_of, steps_in
from openalign.train.config import StepWeights, TrainConfig
from openalign.train.starting_points import located

_SECTION = "train"
_IN_WORDS: dict[StepWeights, str] = {"last": "the weights", "ema": "the average of the weights"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedExport:
    """What is to be exported, and where to."""

    step: int | None = None
    weights: StepWeights | None = None
    """None: as the run exports; where it exports the best step, that step's own."""

    output: str = ""
    """In the run's root where empty, under a name that tells the step and the weights."""

    overrides: Sequence[str] = ()
    """What `--set` said of the pipeline's settings."""


def export(run: Run, asked: AskedExport) -> str:
    """Write the model of a checkpoint as a Hugging Face folder, and return where it is.

    The checkpoint is that of the pipeline's settings where there is one, complete or not, and else
    that of the complete run.

    Raises:
        ConfigError: no step is named, or `--set` has a setting that the checkpoint was not made
            with.
        InputError: the checkpoint holds no average, and that is asked for.
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
    step = asked.step
    if step is None:
        url = storage.join(spec.folder.url, EXPORT_FOLDER)
        done = f": the last step's model is {url} already" if spec.folder.read() else ""
        raise ConfigError(
            f"--step is not named{done}",
            hint=f"name a checkpoint with --step N; {kept}",
        )
    having = [url for url in folders if step in steps[url]]
    if not having:
        raise StageError(f"{run.config.name} has no checkpoint of step {step}", hint=kept)
    saved = _settings_of(storage.join(having[0], CHECKPOINTS_FOLDER, name_of(step)))
    _refuse_other_settings(asked.overrides, run.config.train, saved)
    weights = _weights(asked.weights, saved, step)
    target = asked.output or storage.join(run.config.root, _name(step, weights))
    if storage.exists(target):
        raise StageError(
            f"{target} is there already", hint="remove it, or name another with --output"
        )
    from openalign.train.export_step import export_step

    for changed in read_as_they_are(run, "train"):
        messages.say_as_it_is(run, "export", changed)
    say(
        f"export    loads {_IN_WORDS[weights]} of step {step:,}, and estimates the batch norms' "
        "statistics again"
    )
    export_step(having[0], step, weights=weights, spec=spec, output=target)
    return target


def _settings_of(url: str) -> Mapping[str, Any]:
    from openalign.train.checkpoints.damage import DamagedError
    from openalign.train.checkpoints.manifest import read_manifest

    try:
        return read_manifest(url).settings
    except DamagedError as error:
        raise StageError(f"{url} cannot be used: {error}") from error


def _refuse_other_settings(
    overrides: Sequence[str], config: TrainConfig, saved: Mapping[str, Any]
) -> None:
    """Refuse settings of training that are given beside the command: none of them is looked at.

    Where a run began from may have moved since, and so may be spelled.
    """
    made_with = read_plain(TrainConfig, dict(saved), "the checkpoint's settings")
    had, given = (to_plain(_without_places(each)) for each in (made_with, config))
    differing = [
        line
        for override in overrides
        for section, *path in _paths(override_node(override))
        if section == _SECTION
        for line in settings_that_differ(
            _value(had, path), _value(given, path), ".".join([section, *path])
        )
    ]
    if differing:
        hint = "leave out what --set says of them"
        if any(line.startswith("train.export:") for line in differing):
            hint += ", and choose with --weights last or --weights ema"
        raise ConfigError(
            "a model is exported with the settings of its checkpoint, and --set names others: "
            + "; ".join(differing),
            hint=hint,
        )


def _without_places(config: TrainConfig) -> TrainConfig:
    if config.init_from is None:
        return config
    return replace(config, init_from=located(config.init_from, lambda _: ""))


def _paths(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the path of each value that is set; an empty section is one."""
    if isinstance(node, yaml.MappingNode) and node.value:
        for key, value in node.value:
            yield from _paths(value, (*path, str(key.value)))
    else:
        yield path


def _value(settings: Any, path: Sequence[str]) -> Any:
    for name in path:
        is_section = isinstance(settings, dict)
        settings = cast("dict[str, Any]", settings).get(name) if is_section else None
    return settings


def _weights(asked: StepWeights | None, saved: Mapping[str, Any], step: int) -> StepWeights:
    weights = asked or ("ema" if saved.get("export") == "ema" else "last")
    if weights == "ema" and saved.get("ema") is None:
        raise InputError(
            f"the checkpoint of step {step} holds no average: its run has no `train.ema`",
            hint="export its weights with --weights last",
        )
    return weights


def _name(step: int, weights: StepWeights) -> str:
    """Return the name of a model's folder; that of an average says so."""
    return f"export-step-{step:08d}" + ("-ema" if weights == "ema" else "")
