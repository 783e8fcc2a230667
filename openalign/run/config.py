"""`pipelines.yaml` to a `PipelineConfig`: the one place that reads settings.

Top level: pipeline names. Below a name: a section a stage; a key path is an attribute path, so
`select.image.short_side_above_px` is the YAML key, the attribute and what an error calls it.
Precedence: the dataclass's default (the paper's value) < the pipelines that `extends:` leads to <
the pipeline < `--set`. A section that has variants says which by `kind:`. `{root}` in a text is
the run's root. Imports nothing but the standard library, PyYAML and the folders' config modules.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args, get_type_hints

import yaml

from openalign.errors import ConfigError
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets.kinds import AnyDataset
from openalign.filtering.config import FilterConfig, SelectConfig
from openalign.ingest.config import FetchConfig, HarvestConfig
from openalign.ingest.web.config import WebConfig
from openalign.run.settings_files import read_settings_file
from openalign.settings.fields import renamed
from openalign.settings.limits import short_name
from openalign.settings.yaml_reader import (
    Node,
    Place,
    did_you_mean,
    merged,
    override_node,
    place_of,
    text_node,
)
from openalign.train.config import TrainConfig


@renamed({"picture_px": "write `image_px`"})
@dataclass(frozen=True, slots=True, kw_only=True)
class SiteConfig:
    """A web site and a benchmark that are made before the run and served while it harvests."""

    kind: Literal["openmoji"] = "openmoji"
    """Which images: the OpenMoji project's, with their names."""

    image_px: int = 256
    """Side of the rendered images; the paper's rule drops 200 and below."""

    def __post_init__(self) -> None:
        if not 32 <= self.image_px <= 618:
            raise ValueError(f"image_px must be from 32 to 618, got {self.image_px}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """What the report says about itself."""

    title: str = ""
    """Its heading; the pipeline's name when empty."""

    credits: tuple[str, ...] = ()
    """Who made the images it shows, and under which license; a line each."""

    license: str = ""
    """License of the model, as the Hugging Face Hub calls it (`apache-2.0`), for the model card; it
    names none when empty."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9.+-]*", self.license):
            raise ValueError(
                f"license must be an identifier of the hub such as apache-2.0, got {self.license!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """A pipeline: one section a stage."""

    name: str
    """The pipeline's name in `pipelines.yaml`."""

    description: str = ""
    """One sentence for people."""

    root: str = ""
    """Folder or URL under which the run lives; `runs/<name>` when empty."""

    site: SiteConfig | None = None
    """A site to make and serve; none for the real web."""

    benchmarks: dict[str, AnyDataset] = field(default_factory=dict[str, AnyDataset])
    """Data sets by name: what `evaluate.tasks` measure on and `select.held_out` keeps out."""

    web: WebConfig = field(default_factory=WebConfig)
    """How the web is asked, by `harvest` and by `fetch`; what one of them needs otherwise stands
    under its own `web`, key by key."""

    harvest: HarvestConfig | None = None
    """How candidates, image addresses with their alt-texts, are found; none for a pipeline that
    only measures the model of `evaluate.model`, which then has no stage before `evaluate`."""

    filter: FilterConfig = field(default_factory=FilterConfig)
    """Which candidates are kept for their alt-texts, before images are fetched."""

    fetch: FetchConfig = field(default_factory=FetchConfig)
    """How images are fetched and stored."""

    select: SelectConfig = field(default_factory=SelectConfig)
    """Which fetched images become training pairs."""

    train: TrainConfig = field(default_factory=TrainConfig)
    """The model and its training."""

    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """What is measured, with the trained model or with another one."""

    report: ReportConfig = field(default_factory=ReportConfig)
    """What the report's page says about itself."""


def load_pipeline(path: str, name: str, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Read one pipeline; `overrides` are `key.path=value` strings, the last one wins.

    Raises:
        ConfigError: names the file, line and key, what was found and what is allowed.
    """
    node = read_settings_file(path).pipeline(name)
    for key, _ in node.value:
        if key.value == "name":
            raise ConfigError(
                f"{place_of(key)}: `name` is not a setting",
                hint=f"this pipeline is called `{name}`, as its key says",
            )
    return resolved(with_overrides(node, overrides), name=name, file=path)


def with_overrides(node: yaml.MappingNode, overrides: Sequence[str]) -> yaml.MappingNode:
    """Lay `key.path=value` strings over a mapping of sections, the last one on top.

    Raises:
        ConfigError: one of them is not of that form.
    """
    for override in overrides:
        node = merged(node, override_node(override))
    return node


def resolved(node: yaml.MappingNode, *, name: str, file: str) -> PipelineConfig:
    """Return the pipeline that a mapping of sections describes; errors say that it is in `file`.

    Raises:
        ConfigError: names the place and key, what was found and what is allowed.
    """
    node = _with_shared_web(node)
    _fill_in_root(node, name)
    where = Place(file, "", root=PipelineConfig)
    node.value.insert(0, (text_node("name", node), text_node(name, node)))
    config = cast("PipelineConfig", where.read(PipelineConfig, node))
    _check_model(config, node)
    _check_benchmarks(config, node)
    _check_languages(config, node)
    return config


def _check_model(config: PipelineConfig, node: yaml.MappingNode) -> None:
    """Refuse a pipeline that makes no model and names none."""
    if config.harvest is None and not config.evaluate.model:
        raise ConfigError(
            f"{place_of(node)}: `{config.name}` must have a `harvest`, or name an `evaluate.model`",
            hint="name where the pairs come from, as harvest: {source: {kind: table, path: "
            "pairs.parquet}}; or the folder of a model to measure, as evaluate: {model: FOLDER}",
        )


def _check_benchmarks(config: PipelineConfig, node: yaml.MappingNode) -> None:
    """Refuse a benchmark whose name cannot be part of a file's name, and one that is not there."""
    for name in config.benchmarks:
        try:
            short_name(name=name)
        except ValueError as error:
            where = place_of(_node_at(node, "benchmarks", name))
            raise ConfigError(f"{where}: `benchmarks.{name}`: {error}") from error
    named: list[tuple[tuple[str | int, ...], str]] = [
        *(
            (("select", "held_out", number, "benchmark"), held_out.benchmark)
            for number, held_out in enumerate(config.select.held_out)
        ),
        *(
            (("evaluate", "tasks", number, "benchmark"), task.benchmark)
            for number, task in enumerate(config.evaluate.tasks)
        ),
        *(
            (("evaluate", "searched", number), name)
            for number, name in enumerate(config.evaluate.searched)
        ),
    ]
    for path, name in named:
        if name not in config.benchmarks:
            section, setting, number, *key = path
            called = ".".join([f"{section}.{setting}[{number}]", *map(str, key)])
            raise ConfigError(
                f"{place_of(_node_at(node, *path))}: `{called}` must be one of "
                f"{', '.join(config.benchmarks) or 'none'}, got {name!r}",
                hint=did_you_mean(name, config.benchmarks)
                or f"name the data set under `benchmarks:`, as {name}: {{kind: karpathy, ...}}",
            )


def _check_languages(config: PipelineConfig, node: yaml.MappingNode) -> None:
    """Refuse a pipeline that judges languages of texts, which its harvest does not detect."""
    language_from = config.filter.text.language_from
    is_detected = config.harvest is None or config.harvest.detect_languages
    if language_from != "page" and config.filter.text.languages and not is_detected:
        where = place_of(_node_at(node, "filter", "text", "language_from"))
        raise ConfigError(
            f"{where}: `filter.text.language_from` is {language_from!r}, but nothing detects the "
            "languages of texts",
            hint="set `harvest.detect_languages: true`, or judge by `page`",
        )


def _node_at(node: Node, *path: str | int) -> Node:
    """Return the node at a path of keys and numbers, or the last one on the way that is there."""
    for step in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = cast("Node", node.value[step])
        elif isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == step]
            if not found:
                break
            node = found[0]
    return node


def _with_shared_web(node: yaml.MappingNode) -> yaml.MappingNode:
    """Lay the `web` of `harvest` and of `fetch` over the pipeline's own, key by key."""
    shared = [(key, value) for key, value in node.value if key.value == "web"]
    if not shared or not isinstance(shared[0][1], yaml.MappingNode):
        return node  # nothing is shared, or the reader has an error to raise
    section = yaml.MappingNode(node.tag, shared, node.start_mark)
    # The shared settings are read first, so that an error about one of them names `web`.
    asking = _sections_with_web()
    said = _without_empty(node, list(asking))
    named = {key.value for key, _ in said.value}
    stages = [
        (text_node(name, node), section)
        for name, is_optional in asking.items()
        if name in named or not is_optional
    ]
    defaults = yaml.MappingNode(node.tag, [*shared, *stages], node.start_mark)
    said.value = [
        (key, _without_empty(value, ("web",)))
        if key.value in asking and isinstance(value, yaml.MappingNode)
        else (key, value)
        for key, value in said.value
    ]
    return merged(defaults, said)


def _sections_with_web() -> dict[str, bool]:
    """Return the sections that have a `web` of their own, and whether one may be missing."""
    found: dict[str, bool] = {}
    for name, hint in get_type_hints(PipelineConfig).items():
        kinds = get_args(hint) or (hint,)
        if any("web" in getattr(kind, "__annotations__", {}) for kind in kinds):
            found[name] = type(None) in kinds
    return found


def _without_empty(node: yaml.MappingNode, names: Sequence[str]) -> yaml.MappingNode:
    """Leave out the named sections that have nothing behind their colon: they change nothing."""
    entries = [
        (key, value)
        for key, value in node.value
        if key.value not in names or not isinstance(value, yaml.ScalarNode) or value.value
    ]
    return yaml.MappingNode(node.tag, entries, node.start_mark)


def _fill_in_root(node: yaml.MappingNode, name: str) -> None:
    roots = [value for key, value in node.value if key.value == "root"]
    root = str(roots[0].value).strip() if roots else ""
    if root in ("", "null", "~"):
        root = f"runs/{name}"
        node.value[:] = [(key, value) for key, value in node.value if key.value != "root"]
        node.value.append((text_node("root", node), text_node(root, node)))

    def visit(child: Node) -> None:
        if isinstance(child, yaml.ScalarNode):
            child.value = child.value.replace("{root}", root)
        elif isinstance(child, yaml.SequenceNode):
            for item in child.value:
                visit(item)
        elif isinstance(child, yaml.MappingNode):
            for _, value in child.value:
                visit(value)

    visit(node)
