"""YAML to frozen dataclasses, strictly: every error names file, line and key.

A mapping is a dataclass and its keys are the fields; `kind` chooses among a union of dataclasses.
Undeclared keys and duplicate keys are errors.
"""

import difflib
import json
import math
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import yaml

from openalign.errors import ConfigError
from openalign.settings.decimals import as_number, is_number, number_meant
from openalign.settings.examples import example_of
from openalign.settings.fields import refused_values, renamed_settings
from openalign.settings.key_hints import key_hint

T = TypeVar("T")

Node = yaml.Node
Mapping = yaml.MappingNode

_MAP = "tag:yaml.org,2002:map"
_TEXT = "tag:yaml.org,2002:str"

_NO_VALUE_BEGINS = ("*", "@", "%", "`")
"""What no value of YAML begins with: `*.parquet` is text, for there are no anchors to name."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the settings: reads nodes and words the errors about them."""

    file: str
    key: str

    root: type[Any] | None = None
    """The class of all settings: a key that stands in the wrong section is looked for there."""

    def read(self, kind: Any, node: Node) -> Any:
        """Return a node as a value of the wanted type."""
        if is_dataclass(kind):
            return self._dataclass(cast("type[Any]", kind), node)
        origin = get_origin(kind)
        if origin in (Union, types.UnionType):
            return self._union(get_args(kind), node)
        if origin is tuple:
            return self._tuple(get_args(kind)[0], node)
        if origin is dict:
            return self._dict(get_args(kind)[1], node)
        return self._scalar(kind, node)

    def _dataclass(self, cls: type[Any], node: Node) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.value == "":
            node = yaml.MappingNode(_MAP, [], node.start_mark)
        if not isinstance(node, yaml.MappingNode):
            hint = f"write {example_of(cls)}"
            raise self.error(node, f"must be a section, got {_shown(node)}", hint=hint)
        hints = get_type_hints(cls)
        old, refused = renamed_settings(cls), refused_values(cls)
        values: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = str(name_node.value)
            child = self._child(name)
            if name in old:
                raise child.error(name_node, "is no longer a setting", hint=old[name])
            if name not in hints:
                inside = _keys_inside(value_node) if _is_override(value_node) else []
                hint = key_hint(cls, name, section=self.key, inside=inside, root=self.root)
                raise child.error(name_node, "is not a setting", hint=hint)
            child.check_not_refused(value_node, refused.get(name, {}))
            values[name] = child.read(hints[name], value_node)
        for spec in fields(cls):
            required = spec.default is MISSING and spec.default_factory is MISSING
            if required and spec.name not in values:
                child = self._child(spec.name)
                if not is_dataclass(hints[spec.name]):
                    raise child.error(node, "must be set")
                empty = yaml.MappingNode(_MAP, [], node.start_mark)
                values[spec.name] = child.read(hints[spec.name], empty)
        try:
            return cls(**values)
        except ValueError as error:  # the dataclass's own __post_init__ message
            raise self.error(_blamed(node, str(error)), str(error)) from error

    def _union(self, options: Iterable[Any], node: Node) -> Any:
        members = list(options)
        if type(None) in members:
            if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
                return None
            members.remove(type(None))
        if len(members) == 1:
            return self.read(members[0], node)
        if len(fitting := [kind for kind in members if _is_list(kind) == _is_list_node(node)]) == 1:
            return self.read(fitting[0], node)
        by_kind = {_kind_of(cls): cls for cls in members if is_dataclass(cls)}
        if len(by_kind) != len(members):
            return self._first_that_fits(members, node)
        wanted = _kind(node)
        if wanted not in by_kind:
            found = "has no `kind:`" if wanted is None else f"has kind `{wanted}`"
            hint = f"kinds are: {', '.join(by_kind)}"
            if not isinstance(node, yaml.MappingNode):
                found, hint = f"must be a section, got {_shown(node)}", _one_of(by_kind.values())
            raise self.error(node, found, hint=hint)
        return self.read(by_kind[wanted], node)

    def _first_that_fits(self, members: list[Any], node: Node) -> Any:
        for member in members[:-1]:
            try:
                return self.read(member, node)
            except ConfigError:
                continue
        return self.read(members[-1], node)

    def _tuple(self, item: Any, node: Node) -> tuple[Any, ...]:
        is_null = node.tag.endswith(":null")
        is_item = isinstance(node, yaml.ScalarNode) and node.value and not is_null
        if is_item and _is_override(node):
            return self._typed_list(item, cast("yaml.ScalarNode", node))
        if not isinstance(node, yaml.SequenceNode):
            hint = f"write [{node.value}]" if is_item else "write [a, b], or [] for none"
            raise self.error(node, f"must be a list, got {_shown(node)}", hint=hint)
        return tuple(
            replace(self, key=f"{self.key}[{i}]").read(item, value)
            for i, value in enumerate(node.value)
        )

    def _typed_list(self, item: Any, node: yaml.ScalarNode) -> tuple[Any, ...]:
        """Return what people type in a shell for a list: its one item, or choices with commas."""
        texts = node.value.split(",") if get_origin(item) is Literal else [node.value]
        return tuple(
            self.read(item, yaml.ScalarNode(node.tag, text.strip(), node.start_mark))
            for text in texts
        )

    def _dict(self, item: Any, node: Node) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f"must be a mapping, got {_shown(node)}")
        return {str(k.value): self._child(str(k.value)).read(item, v) for k, v in node.value}

    def _scalar(self, kind: Any, node: Node) -> Any:
        choices = get_args(kind) if get_origin(kind) is Literal else ()
        wanted: Any = type(choices[0]) if choices else kind  # pyright: ignore[reportUnknownVariableType]
        value = as_number(_scalar_value(node), wanted)
        if wanted is str and _is_yes_or_no(value, node):
            value = node.value
        if type(value) is not wanted:
            hint = number_meant(str(node.value)) if wanted in (int, float) else None
            raise self.error(node, f"must be {_type_name(wanted)}, got {_shown(node)}", hint=hint)
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(node, f"must be a finite number, got {_shown(node)}")
        if choices and value not in choices:
            named = ", ".join(str(choice) or "''" for choice in choices)
            raise self.error(
                node,
                f"must be one of {named}, got {_shown(node)}",
                hint=did_you_mean(str(value), map(str, choices)),
            )
        return value

    def check_not_refused(self, node: Node, reasons: dict[str, str]) -> None:
        """Raise an error with its reason where a node's value is one that is refused."""
        reason = reasons.get(str(node.value))
        if reason is not None:
            raise self.error(node, f"cannot be {node.value}", hint=reason)

    def _child(self, name: str) -> "Place":
        return replace(self, key=f"{self.key}.{name}".lstrip("."))

    def error(self, node: Node, message: str, *, hint: str | None = None) -> ConfigError:
        """Return an error about this key; the caller raises it."""
        return ConfigError(f"{place_of(node)}: `{self.key}` {message}", hint=hint)


def compose(text: str, source: str) -> Node | None:
    """Parse YAML into nodes that know their line; errors call the text `source`."""
    loader = yaml.SafeLoader(text)
    loader.name = source
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{source}{line}: is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: is not YAML: {error}") from error
    if node is not None:
        _check_nodes(node, ())
    return node


def read_plain(
    kind: type[T], values: dict[str, Any], source: str, overrides: Iterable[str] = ()
) -> T:
    """Return the dataclass that `settings.fields.to_plain` turned into `values`.

    Values are checked like those of a file; errors call them `source`. `key=value` strings are laid
    over them, in order.

    Raises:
        ConfigError: a value is missing, unknown or of another type.
    """
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    node = cast("yaml.MappingNode", compose(text, source))
    for override in overrides:
        node = merged(node, override_node(override))
    return cast("T", Place(source, "").read(kind, node))


def quoted(text: str) -> str:
    """Return a text as YAML has it; JSON's own escapes of characters beyond 16 bits are others."""
    return json.dumps(text, ensure_ascii=False)


def _check_nodes(node: Node, above: tuple[int, ...]) -> None:
    """Refuse tags, keys that are not text, duplicate keys and loops."""
    if id(node) in above:
        raise ConfigError(f"{place_of(node)}: stands inside itself, through an alias")
    if not node.tag.startswith("tag:yaml.org,2002:"):
        raise ConfigError(f"{place_of(node)}: has the tag `{node.tag}`, which means nothing here")
    inside = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_nodes(item, inside)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{place_of(key)}: a key must be text")
        if key.value in seen:
            raise ConfigError(f"{place_of(key)}: `{key.value}` stands here twice")
        seen.add(key.value)
        _check_nodes(value, inside)


def _one_of(classes: Iterable[Any]) -> str:
    return f"write one of {', '.join(map(example_of, classes))}"


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _is_list_node(node: Node) -> bool:
    return isinstance(node, yaml.SequenceNode)


def _is_override(node: Node) -> bool:
    return str(node.start_mark.name).startswith("--set")


def _blamed(section: yaml.MappingNode, message: str) -> Node:
    """Return the override of a section that a message about it names, or else the section."""
    named = (
        value
        for path, value in _overrides(section)
        if re.search(rf"\b{re.escape(path)}\b", message)
    )
    return next(named, section)


def _overrides(section: yaml.MappingNode, above: str = "") -> Iterator[tuple[str, Node]]:
    """Yield the overrides in a section, those of sections inside first, and their whole keys."""
    for key, value in section.value:
        path = f"{above}{key.value}"
        if isinstance(value, yaml.MappingNode):
            yield from _overrides(value, f"{path}.")
        if _is_override(value):
            yield path, value


def _keys_inside(node: Node) -> list[str]:
    """Return the keys of mappings of one key each, from the outermost to the innermost."""
    if not isinstance(node, yaml.MappingNode) or len(node.value) != 1:
        return []
    key, value = node.value[0]
    return [str(key.value), *_keys_inside(value)]


def _is_yes_or_no(value: Any, node: Node) -> bool:
    """Tell whether a text is one of those that YAML 1.1 alone takes for true or false."""
    return isinstance(value, bool) and node.value.lower() not in ("true", "false")


def _scalar_value(node: Node) -> Any:
    """Return a node's value; the text of a number or a date that YAML 1.1 alone takes for one."""
    if not isinstance(node, yaml.ScalarNode):
        return node
    kind = node.tag.rpartition(":")[2]
    if kind == "timestamp" or (kind in ("int", "float") and not is_number(node.value)):
        return node.value
    return cast("Any", yaml.SafeLoader("").construct_object(node))  # pyright: ignore[reportUnknownMemberType]


def _shown(node: Node) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "a mapping" if isinstance(node, yaml.MappingNode) else repr(_scalar_value(node))


def _type_name(kind: Any) -> str:
    return {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}[
        kind.__name__
    ]


def place_of(node: Node) -> str:
    """Return a node's position, such as `pipelines.yaml:12`."""
    name = str(node.start_mark.name)
    return name if _is_override(node) else f"{name}:{node.start_mark.line + 1}"


def text_node(text: str, like: Node) -> yaml.ScalarNode:
    """Return a text node at the position of another node."""
    return yaml.ScalarNode(_TEXT, text, like.start_mark)


def _kind(node: Node | None) -> str | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    kinds = [str(value.value) for key, value in node.value if key.value == "kind"]
    return kinds[0] if kinds else None


def _kind_of(cls: Any) -> str:
    return str(get_args(get_type_hints(cls)["kind"])[0])


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """Return a hint that names the closest allowed spelling, or None when none is close."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean `{close[0]}`?" if close else None


def merged(base: yaml.MappingNode, over: yaml.MappingNode) -> yaml.MappingNode:
    """Lay one mapping over another; a section of another `kind` replaces the whole section."""
    entries = {str(key.value): (key, value) for key, value in base.value}
    for key, value in over.value:
        old = entries.get(str(key.value), (key, None))[1]
        together = value
        if isinstance(old, yaml.MappingNode) and isinstance(value, yaml.MappingNode):
            same_kind = _kind(value) in (None, _kind(old))
            together = merged(old, value) if same_kind else value
        entries[str(key.value)] = (key, together)
    # An error about a whole section points into the file, not at the last override in it.
    from_file = base if _is_override(over) else over
    return yaml.MappingNode(base.tag, list(entries.values()), from_file.start_mark)


def override_node(override: str) -> yaml.MappingNode:
    """Return `a.b=value` as nested YAML mappings."""
    path, equals, text = override.partition("=")
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", path):
        raise ConfigError(
            f"--set {override}: must be KEY=VALUE", hint="for example --set train.seed=1"
        )
    source = f"--set {path}"
    node = compose(text, source) if not text.startswith(_NO_VALUE_BEGINS) else None
    node = node or compose(quoted(text), source)
    assert node is not None
    for name in reversed(path.split(".")):
        key = yaml.ScalarNode(_TEXT, name, node.start_mark)
        node = yaml.MappingNode(_MAP, [(key, node)], node.start_mark)
    return cast("yaml.MappingNode", node)
