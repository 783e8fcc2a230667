"""The files that pipelines stand in: the user's own, and the recipes that ship with the package."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from importlib.resources import files
from pathlib import Path

import yaml

from openalign.errors import ConfigError
from openalign.settings.yaml_reader import compose, did_you_mean, merged, place_of

SETTINGS_FILE = "pipelines.yaml"
"""The settings file that a command reads unless it names one: in the current folder."""

Pipelines = Mapping[str, yaml.MappingNode]


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The pipelines that a command knows by name."""

    path: str
    own: Pipelines
    """Those of the file itself."""

    shipped: Pipelines
    """Those of the package: a name that the file does not have is looked for here."""

    is_missing: bool = False
    """Whether the usual file is not in the current folder, so that only recipes are known."""

    @property
    def missing(self) -> str:
        """Say that it is missing, and where; only of one that is."""
        return f"there is no {self.path} in {Path.cwd()}"

    def pipeline(self, name: str) -> yaml.MappingNode:
        """Return a pipeline, laid over those that it extends.

        Raises:
            ConfigError: there is none of that name, or it extends what is not there or itself.
        """
        known = {**self.shipped, **self.own}
        if name not in known:
            raise self._unknown(name, known)
        # A recipe that ships is not changed by a pipeline of the user's that has its parent's name.
        return _with_parents(name, known if name in self.own else self.shipped)

    def _unknown(self, name: str, known: Pipelines) -> ConfigError:
        meant = did_you_mean(name, known)
        there = f"there are: {', '.join(known)}"
        new = f"openalign init {name} PATH makes one of the data that lies at PATH"
        if not self.is_missing:
            hint = meant or (there if self.own else f"{there}; {new}")
            return ConfigError(f"{self.path}: there is no pipeline `{name}`", hint=hint)
        ship = f"these are the recipes that ship: {', '.join(known)}"
        way = f"go to the folder of your run, or name its settings file with --config PATH; {new}"
        return ConfigError(
            f"there is no pipeline `{name}`: {self.missing}", hint=meant or f"{ship}\n{way}"
        )


def root_called(name: str, settings_file: str) -> str | None:
    """Return the root of a run that is called by its name alone, as runs that no pipeline made.

    None is returned where a pipeline has the name, and where no such run is in the current folder.

    Raises:
        ConfigError: the settings file cannot be read.
    """
    root = Path("runs", name)
    if not name or "/" in name or not root.is_dir():
        return None
    found = read_settings_file(settings_file)
    return None if name in {*found.own, *found.shipped} else str(root)


def read_settings_file(path: str) -> SettingsFile:
    """Read a settings file; where the usual one is not there, only the recipes are known.

    Raises:
        ConfigError: it cannot be read, or is no mapping of pipelines.
    """
    is_missing = path == SETTINGS_FILE and not Path(path).exists()
    own = {} if is_missing else pipelines_in(_read(path), path)
    return SettingsFile(path, own, _shipped(), is_missing)


def pipelines_in(text: str, file: str) -> dict[str, yaml.MappingNode]:
    """Return the pipelines of a settings file as they stand in its text, by name.

    Raises:
        ConfigError: it is no mapping of pipelines.
    """
    root = compose(text, file)
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{file}: must be a mapping of pipeline names to their sections")
    pipelines: dict[str, yaml.MappingNode] = {}
    for key, node in root.value:
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{place_of(key)}: `{key.value}` must be a mapping of sections")
        if "/" in key.value:
            raise ConfigError(
                f"{place_of(key)}: `{key.value}` cannot be the name of a pipeline",
                hint="a name with a slash is taken for the folder of a run",
            )
        pipelines[str(key.value)] = node
    return pipelines


def shipped_text() -> str:
    """Return the recipes that ship with the package, as they are written."""
    return files("openalign").joinpath(SETTINGS_FILE).read_text(encoding="utf-8")


def _shipped() -> Pipelines:
    return pipelines_in(shipped_text(), str(files("openalign").joinpath(SETTINGS_FILE)))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="name the file with `--config PATH`"
        ) from error


def _with_parents(name: str, pipelines: Pipelines) -> yaml.MappingNode:
    """Return a pipeline laid over the one that it extends, that over its own, and so on."""
    chain = [name]
    while parents := _values_of("extends", pipelines[chain[-1]]):
        parent = str(parents[0].value)
        if parent in chain:
            raise ConfigError(
                f"{place_of(parents[0])}: `{chain[-1]}` extends itself: "
                f"{' -> '.join([*chain, parent])}"
            )
        if parent not in pipelines:
            raise ConfigError(
                f"{place_of(parents[0])}: `{chain[-1]}` extends `{parent}`, which is not there",
                hint=did_you_mean(parent, pipelines) or f"there are: {', '.join(pipelines)}",
            )
        chain.append(parent)
    return reduce(merged, (_without_parent(pipelines[step]) for step in reversed(chain)))


def _values_of(name: str, node: yaml.MappingNode) -> list[yaml.Node]:
    return [value for key, value in node.value if key.value == name]


def _without_parent(node: yaml.MappingNode) -> yaml.MappingNode:
    own = [(key, value) for key, value in node.value if key.value != "extends"]
    return yaml.MappingNode(node.tag, own, node.start_mark)
