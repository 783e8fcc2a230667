"""`pipelines.yaml` to a `PipelineConfig`: the one place that reads settings.

Top level: pipeline names. Below a name: a section a stage; a key path is an attribute path, so
`select.image.short_side_above_px` is the YAML key, the attribute and what an error calls it.
Precedence: the dataclass's default (the paper's value) < the pipeline that `extends:` names <
the pipeline < `--set`. A section that has variants says which by `kind:`. `{root}` in a text is
the run's root. Imports nothing but the standard library, PyYAML and the folders' config modules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import yaml

from openalign.errors import ConfigError
from openalign.evaluate.config import EvaluateConfig
from openalign.filtering.config import FilterConfig, SelectConfig
from openalign.ingest.config import FetchConfig, HarvestConfig
from openalign.ingest.web.config import WebConfig
from openalign.settings.yaml_reader import (
    Node,
    Place,
    compose,
    did_you_mean,
    merged,
    override_node,
    place_of,
    text_node,
)
from openalign.train.config import TrainConfig

_ASKING_STAGES = ("harvest", "fetch")
"""Sections that have a `web` of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteConfig:
    """A web site and a benchmark that are made before the run and served while it harvests."""

    kind: Literal["openmoji"] = "openmoji"
    """Which pictures: the OpenMoji project's, with their names."""

    picture_px: int = 256
    """Side of the rendered pictures; the paper's rule drops 200 and below."""

    def __post_init__(self) -> None:
        if not 32 <= self.picture_px <= 618:
            raise ValueError(f"picture_px must be from 32 to 618, got {self.picture_px}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """What the report says about itself."""

    title: str = ""
    """Its heading; the pipeline's name when empty."""

    credits: tuple[str, ...] = ()
    """Who made the pictures it shows, and under which licence; a line each."""


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

    web: WebConfig = field(default_factory=WebConfig)
    """How the web is asked, by `harvest` and by `fetch`; what one of them needs otherwise stands
    under its own `web`, key by key."""

    harvest: HarvestConfig
    filter: FilterConfig = field(default_factory=FilterConfig)
    fetch: FetchConfig = field(default_factory=FetchConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    report: ReportConfig = field(default_factory=ReportConfig)


def load_pipeline(path: str, name: str, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Read one pipeline; `overrides` are `key.path=value` strings, the last one wins.

    Raises:
        ConfigError: names the file, line and key, what was found and what is allowed.
    """
    pipelines = _pipelines(path)
    if name not in pipelines:
        raise ConfigError(
            f"{path}: there is no pipeline `{name}`",
            hint=did_you_mean(name, pipelines) or f"there are: {', '.join(pipelines)}",
        )
    node = _with_parent(name, pipelines)
    for key, _ in node.value:
        if key.value == "name":
            raise ConfigError(
                f"{place_of(key)}: `name` is not a setting",
                hint=f"this pipeline is called `{name}`, as its key says",
            )
    for override in overrides:
        node = merged(node, override_node(override))
    node = _with_shared_web(node)
    _fill_in_root(node, name)
    where = Place(path, "")
    node.value.insert(0, (text_node("name", node), text_node(name, node)))
    return cast("PipelineConfig", where.read(PipelineConfig, node))


def pipeline_names(path: str) -> list[str]:
    """Return the names of the pipelines in a file, in its order."""
    return list(_pipelines(path))


def _pipelines(path: str) -> dict[str, yaml.MappingNode]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="name the file with `--config PATH`"
        ) from error
    root = compose(text, path)
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}: must be a mapping of pipeline names to their sections")
    pipelines: dict[str, yaml.MappingNode] = {}
    for key, node in root.value:
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{place_of(key)}: `{key.value}` must be a mapping of sections")
        pipelines[str(key.value)] = node
    return pipelines


def _with_parent(name: str, pipelines: dict[str, yaml.MappingNode]) -> yaml.MappingNode:
    node = pipelines[name]
    parents = [value for key, value in node.value if key.value == "extends"]
    if not parents:
        return node
    parent = pipelines.get(str(parents[0].value))
    if parent is None:
        raise ConfigError(
            f"{place_of(parents[0])}: `{name}` extends `{parents[0].value}`, which is not there",
            hint=did_you_mean(str(parents[0].value), pipelines)
            or f"there are: {', '.join(pipelines)}",
        )
    if any(key.value == "extends" for key, _ in parent.value):
        raise ConfigError(
            f"{place_of(parents[0])}: `{parents[0].value}` extends another pipeline itself",
            hint="`extends:` goes one level deep",
        )
    own = yaml.MappingNode(
        node.tag, [(k, v) for k, v in node.value if k.value != "extends"], node.start_mark
    )
    return merged(parent, own)


def _with_shared_web(node: yaml.MappingNode) -> yaml.MappingNode:
    """Lay the `web` of `harvest` and of `fetch` over the pipeline's own, key by key."""
    shared = [(key, value) for key, value in node.value if key.value == "web"]
    if not shared or not isinstance(shared[0][1], yaml.MappingNode):
        return node  # nothing is shared, or the reader has an error to raise
    section = yaml.MappingNode(node.tag, shared, node.start_mark)
    # The shared settings are read first, so that an error about one of them names `web`.
    stages = [(text_node(name, node), section) for name in _ASKING_STAGES]
    defaults = yaml.MappingNode(node.tag, [*shared, *stages], node.start_mark)
    said = _without_empty(node, _ASKING_STAGES)
    said.value = [
        (key, _without_empty(value, ("web",)))
        if key.value in _ASKING_STAGES and isinstance(value, yaml.MappingNode)
        else (key, value)
        for key, value in said.value
    ]
    return merged(defaults, said)


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
