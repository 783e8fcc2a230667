"""A pipeline that flags describe: `openalign evaluate --model FOLDER --data NAME=PATH`.

Such a run keeps its settings in its root, `runs/<model's name>` unless `--set root=...` says
otherwise. So `report`, `search` and a further `evaluate` go on from the root, or from the model,
and need no other settings. The root itself is not among them: a run can be moved.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from dataclasses import replace as replaced
from typing import Any, TypeVar, cast

import yaml

from openalign.errors import ConfigError, StageError
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.kinds import kind_of
from openalign.evaluate.datasets.recognition import recognized
from openalign.evaluate.tasks.contract import TaskSettings
from openalign.evaluate.tasks.kinds import task_by_default, usual_kinds
from openalign.files import storage
from openalign.files.manifest import StageFolder
from openalign.files.names import RUN_SETTINGS_FILE
from openalign.run.config import PipelineConfig, resolved, with_overrides
from openalign.run.inputs import model_identity, of_evaluate
from openalign.run.settings_files import pipelines_in
from openalign.settings.fields import LOCATION, to_plain, why_outside_identity
from openalign.settings.limits import short_name
from openalign.settings.yaml_reader import compose, quoted, text_node

COMMAND = "openalign evaluate --model FOLDER --data NAME=PATH"

T = TypeVar("T")

_FLAGS = "what --model and --data say"
_UNKNOWN = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedRun:
    """A pipeline, and the text that `recorded` reads it from."""

    config: PipelineConfig
    text: str

    def record(self) -> None:
        """Keep the settings in the run's root."""
        storage.write_text(storage.join(self.config.root, RUN_SETTINGS_FILE), self.text)


def described(
    model: str, data: Sequence[str], overrides: Sequence[str], *, replace: bool = False
) -> DescribedRun:
    """Return the pipeline that measures a model on data sets, each `NAME=PATH`.

    `replace` says that what was measured on other data sets may be lost.

    Raises:
        ConfigError: a flag or an override is wrong.
        InputError: there is nothing at a path, or it is of no known form.
        StageError: the root holds what was measured on another model, on data sets that are not
            among these, or on others of the same names.
    """
    benchmarks: dict[str, DatasetSettings] = {}
    for flag in data:
        name, path = _name_and_path(flag)
        for each, dataset in recognized(name, storage.absolute(path)).items():
            if each in benchmarks:
                raise ConfigError(f"--data {flag}: two data sets are called `{each}`")
            if not (kind_of(dataset).tasks or kind_of(dataset).is_searched):
                raise ConfigError(
                    f"--data {flag}: nothing is measured on the kind `{dataset.kind}` unless a "
                    "task is named",
                    hint="write a pipeline with the task under `evaluate.tasks`",
                )
            benchmarks[each] = dataset
    tasks = [task for name, dataset in benchmarks.items() for task in _usual_tasks(name, dataset)]
    evaluated: dict[str, Any] = {
        "model": storage.absolute(model),
        "tasks": [to_plain(task) for task in tasks],
    }
    if searched := [name for name, each in benchmarks.items() if kind_of(each).is_searched]:
        evaluated["searched"] = searched
    sections = {
        "benchmarks": {name: to_plain(dataset) for name, dataset in benchmarks.items()},
        "evaluate": evaluated,
        "report": {"title": name_of_model(model)},
    }
    node = _without_root(with_overrides(_mapping(sections), overrides))
    config = _in_root(node, root_of(model, overrides), _FLAGS)
    read = _as_read(overrides, _seen_from_anywhere(config))
    kept = _without_root(with_overrides(_mapping(sections), read))
    whole = _mapping({name_of_model(model): None})
    whole.value = [(key, kept) for key, _ in whole.value]
    text = cast("str", yaml.serialize(whole, allow_unicode=True))
    _refuse_another_model(config)
    if not replace:
        _refuse_to_lose_data(config)
    return DescribedRun(config=config, text=text)


def _as_read(overrides: Sequence[str], config: PipelineConfig) -> list[str]:
    """Return overrides with the values that were read of them: a file takes no word for a list.

    A section comes with all of its settings, so the run stays as it is when a default changes.
    """
    found: list[str] = []
    read = to_plain(config)
    for override in overrides:
        key = override.partition("=")[0]
        value: Any = read
        for name in key.split("."):
            value = value.get(name, _UNKNOWN) if isinstance(value, dict) else _UNKNOWN
        is_kept = key == "root" or value is _UNKNOWN  # a later one has taken its section away
        found.append(override if is_kept else f"{key}={json.dumps(value, ensure_ascii=False)}")
    return found


def _seen_from_anywhere(value: T) -> T:
    """Return settings whose inputs lie at absolute paths, as those of `--model` and `--data` do."""
    if isinstance(value, dict):
        return cast("T", {key: _seen_from_anywhere(each) for key, each in value.items()})
    if isinstance(value, tuple):
        return cast("T", tuple(map(_seen_from_anywhere, value)))
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed: dict[str, Any] = {}
    for each in fields(value):
        found = getattr(value, each.name)
        is_place = why_outside_identity(each) == LOCATION and found != each.default
        changed[each.name] = _absolute(found) if is_place else _seen_from_anywhere(found)
    return cast("T", replaced(value, **changed))


def _absolute(place: Any) -> Any:
    """Return a place as an absolute path; what is none, as a word among paths, stays."""
    if isinstance(place, tuple):
        return tuple(map(_absolute, cast("tuple[Any, ...]", place)))
    if not (isinstance(place, str) and storage.is_local(place)):
        return place
    begin = re.split(r"[*?\[{]", place, maxsplit=1)[0]
    known = begin if begin == place else begin.rpartition("/")[0] or "."  # a pattern's folder
    return storage.absolute(place) if place and storage.exists(known) else place


def _usual_tasks(name: str, dataset: DatasetSettings) -> list[TaskSettings]:
    """Return what is measured on a data set when nobody says more."""
    try:
        return [task_by_default(kind, name, dataset) for kind in usual_kinds(dataset)]
    except ValueError as error:
        raise ConfigError(
            f"--data {name}=...: {error}", hint="give the data set another name"
        ) from error


def keeps_settings(root: str) -> bool:
    """Tell whether a root keeps the settings of its run."""
    return storage.exists(storage.join(root, RUN_SETTINGS_FILE))


def recorded(root: str, overrides: Sequence[str], *, model: str = "") -> PipelineConfig:
    """Return the pipeline that flags described for a run; `model` is where its model lies now.

    Raises:
        ConfigError: the root keeps no settings, or an override is wrong.
        StageError: what lies there was measured on another model.
    """
    url = storage.join(root, RUN_SETTINGS_FILE)
    storage.check_reachable(root)
    if not storage.exists(url):
        raise ConfigError(
            f"{root} is not the root of a run that keeps its settings: {url} is not there",
            hint="the run of a pipeline is named by that pipeline's name, in the folder of its "
            f"pipelines.yaml or with --config; a run that keeps its settings is made by: {COMMAND}",
        )
    if not model and any(override.partition("=")[0] == "root" for override in overrides):
        raise ConfigError(
            f"{root} is the run's root, and `--set root=` names another", hint="give one of them"
        )
    if model:
        overrides = [*overrides, f"evaluate.model={quoted(storage.absolute(model))}"]
    node = _without_root(with_overrides(_recorded(url), overrides))
    config = _in_root(node, root, url)
    if model:
        _refuse_another_model(config)
    return config


def root_of(model: str, overrides: Sequence[str]) -> str:
    """Return the root of the run that flags describe for a model."""
    by_default = f"runs/{name_of_model(model)}"
    node = with_overrides(_mapping({"root": by_default}), overrides)
    roots = [str(value.value) for key, value in node.value if key.value == "root"]
    return roots[0] or by_default


_EXPORT_OF_A_RUN = re.compile(r"([^/]+)/train/export$")


def name_of_model(model: str) -> str:
    """Return what a model is called: the last part of its path, in characters fit for a folder.

    The model of a run, `<run>/train/export`, is called `<run>-export`.

    Raises:
        ConfigError: nothing is left.
    """
    path = storage.absolute(model).rstrip("/")
    if "://" in path:
        path = path.partition("@")[0]  # a revision of the hub
    last = path.rpartition("/")[2]
    if of_run := _EXPORT_OF_A_RUN.search(path):
        last = f"{of_run[1]}-export"
    name = re.sub(r"[^\w.-]+", "-", last, flags=re.ASCII).strip("-.")
    if not name:
        raise ConfigError(
            f"--model {model}: must be the folder of a model", hint=f"for example {COMMAND}"
        )
    return name


def _recorded(url: str) -> yaml.MappingNode:
    pipelines = list(pipelines_in(storage.read_text(url), url).values())
    if len(pipelines) != 1:
        raise ConfigError(f"{url} must hold one pipeline, got {len(pipelines)}")
    return pipelines[0]


def _name_and_path(flag: str) -> tuple[str, str]:
    name, equals, path = flag.partition("=")
    if not (equals and path):
        raise ConfigError(
            f"--data {flag}: must be NAME=PATH",
            hint="for example --data flickr30k=dataset_flickr30k.json; `openalign datasets` lists "
            "the names that are known",
        )
    try:
        short_name(name=name)
    except ValueError as error:
        raise ConfigError(f"--data {flag}: {error}") from error
    return name, path


def _in_root(node: yaml.MappingNode, root: str, file: str) -> PipelineConfig:
    """Return a pipeline that lives in a root, which is its name too: commands take either."""
    place = (text_node("root", node), text_node(root, node))
    whole = yaml.MappingNode(node.tag, [*node.value, place], node.start_mark)
    return resolved(whole, name=root, file=file)


def _without_root(node: yaml.MappingNode) -> yaml.MappingNode:
    entries = [(key, value) for key, value in node.value if key.value != "root"]
    return yaml.MappingNode(node.tag, entries, node.start_mark)


def _mapping(values: Mapping[str, Any]) -> yaml.MappingNode:
    node = compose(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True), _FLAGS)
    return cast("yaml.MappingNode", node)


def _refuse_another_model(config: PipelineConfig) -> None:
    """Refuse to go on where another model was measured, as of the same name in another folder."""
    before = _before(config.root)
    if before is not None and before.evaluate.model == config.evaluate.model:
        return  # its files may have changed: then it is measured again
    manifest = StageFolder(config.root, "evaluate").read()
    if manifest is None:
        return
    if manifest.inputs.get("model") != model_identity(config.evaluate, root=config.root):
        raise StageError(
            f"{config.root} holds what was measured on another model than {config.evaluate.model}",
            hint="give this model a root of its own, as --set root=runs/NAME; or remove "
            f"{config.root}",
        )


def _refuse_to_lose_data(config: PipelineConfig) -> None:
    """Refuse to replace what was measured on data sets that are not named this time.

    Another data set of the same name is told by its content: the first one may have been moved.
    """
    manifest = StageFolder(config.root, "evaluate").read()
    if manifest is None:
        return
    measured = [name.partition("benchmarks.")[2] for name in manifest.inputs]
    lost = [name for name in measured if name and name not in config.benchmarks]
    if elsewhere := _elsewhere(config).intersection(measured):
        found = of_evaluate(config)
        lost += [
            f"{name} at another path"
            for name in sorted(elsewhere)
            if found.get(f"benchmarks.{name}") != manifest.inputs[f"benchmarks.{name}"]
        ]
    if lost:
        raise StageError(
            f"{config.root} holds what was measured on {', '.join(lost)}, which would be lost",
            hint="name all data sets in one command, each with --data and a name of its own; give "
            "these a root of their own, as --set root=runs/NAME; or let them take the place of the "
            "first: --yes",
        )


def _elsewhere(config: PipelineConfig) -> set[str]:
    """Return which data sets do not lie where they lay when their run was described."""
    before = _before(config.root)
    lay = {} if before is None else to_plain(before.benchmarks)
    return {
        name
        for name, dataset in to_plain(config.benchmarks).items()
        if name not in lay or lay[name]["path"] != dataset["path"]
    }


def _before(root: str) -> PipelineConfig | None:
    """Return the pipeline that a root keeps; None where it keeps none."""
    url = storage.join(root, RUN_SETTINGS_FILE)
    return _in_root(_recorded(url), root, url) if storage.exists(url) else None
