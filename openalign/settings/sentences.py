"""Descriptions of a config dataclass's settings: key, type, default, sentence and source.

The sentences are the strings under the fields in the source code. This module knows no config
class, so a new setting or kind appears on the settings page automatically. Imports only the
standard library.
"""

import ast
import inspect
import json
import re
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from openalign.settings.fields import why_outside_identity

MUST_BE_SET = "must be set"
OWN_DEFAULTS = "its own defaults"

_SCALARS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_MANY = {"a whole number": "whole numbers", "a number": "numbers", "a section": "sections"}

_YAML_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})

_REFERENCE = r"(?:§\d+(?:\.\d+)*|Eq\. \d+|[Aa]ppendix [A-Z]\b)"
_REFERENCES = re.compile(rf"(?:ALIGN )?{_REFERENCE}(?:(?:, | and ){_REFERENCE})*")
_IN_BRACKETS = re.compile(rf" ?\({_REFERENCES.pattern}(?:[:,] ([^()]*))?\)")
_OTHER_SOURCE = re.compile(r"RFC \d+,? §\d+(?:\.\d+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting, in words."""

    key: str
    """The key path; `[]` stands for each item of a list, `NAME` for each key of a mapping."""

    type: str
    default: str
    """The default as YAML has it, in backticks; or `must be set`, or `its own defaults`."""

    sentence: str
    """What the setting does, without references to the paper in brackets."""

    paper: str
    """Where the paper says it, such as `§3, §5`; empty when the sentence cites nothing."""

    mark: str
    """Why the setting is outside the result's identity; empty when it is part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSection:
    """The settings of one dataclass, at the first key path that uses it."""

    key: str
    """The section's key path; empty for the outermost class."""

    kind: str
    """Value of `kind:` that chooses this class; empty when there is no choice."""

    summary: str
    """The class's docstring."""

    settings: tuple[Setting, ...]
    """Empty when `same_as` names the section that lists them."""

    same_as: str
    """Earlier key path of the same class; empty at the first one."""


def sections_of(cls: type[Any]) -> list[SettingsSection]:
    """Return a config class and all sections in it, outer ones first, each class in full once."""
    return list(_sections(cls, key="", must_name_kind=False, seen={}))


@cache
def sentences_under(cls: type[Any]) -> Mapping[str, str]:
    """Return the sentences under a dataclass's fields, by field name.

    Raises:
        AssertionError: a field has none.
    """
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if is_dataclass(owner):
            found.update(_strings_under_fields(owner))
    missing = [spec.name for spec in fields(cls) if spec.name not in found]
    assert not missing, (
        f"{cls.__module__}.{cls.__qualname__}: no sentence stands under {', '.join(missing)}"
    )
    return found


def _strings_under_fields(cls: type[Any]) -> dict[str, str]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, after in zip(tree.body, tree.body[1:], strict=False):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[statement.target.id] = " ".join(str(after.value.value).split())
    return found


def _sections(
    cls: type[Any], *, key: str, must_name_kind: bool, seen: dict[type[Any], str]
) -> Iterator[SettingsSection]:
    kind, summary = _kind_of(cls), inspect.getdoc(cls) or ""
    if cls in seen:
        yield SettingsSection(key=key, kind=kind, summary=summary, settings=(), same_as=seen[cls])
        return
    seen[cls] = key
    hints, prefix = get_type_hints(cls), f"{key}." if key else ""
    settings: list[Setting] = []
    for spec in fields(cls):
        sentence, paper = _without_references(sentences_under(cls)[spec.name])
        chooses = must_name_kind and spec.name == "kind"
        settings.append(
            Setting(
                key=prefix + spec.name,
                type=_type_in_words(hints[spec.name]),
                default=MUST_BE_SET if chooses else _default_in_words(spec, hints[spec.name]),
                sentence=sentence,
                paper=paper,
                mark=why_outside_identity(spec),
            )
        )
    yield SettingsSection(key=key, kind=kind, summary=summary, settings=tuple(settings), same_as="")
    for spec in fields(cls):
        inner = list(_dataclasses_in(hints[spec.name], prefix + spec.name))
        for inner_cls, inner_key in inner:
            yield from _sections(inner_cls, key=inner_key, must_name_kind=len(inner) > 1, seen=seen)


def _dataclasses_in(hint: Any, key: str) -> Iterator[tuple[type[Any], str]]:
    """Yield the dataclasses that a value of this type is made of, each with its key path."""
    if is_dataclass(hint):
        assert isinstance(hint, type)
        yield hint, key
    elif get_origin(hint) is tuple:
        yield from _dataclasses_in(get_args(hint)[0], f"{key}[]")
    elif get_origin(hint) is dict:
        yield from _dataclasses_in(get_args(hint)[1], f"{key}.NAME")
    elif _is_union(hint):
        for member in get_args(hint):
            yield from _dataclasses_in(member, key)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _kind_of(cls: type[Any]) -> str:
    """Return the one value that `kind` may have; empty where the class has no such field."""
    choices = get_args(get_type_hints(cls).get("kind"))
    return str(choices[0]) if len(choices) == 1 else ""


def _type_in_words(hint: Any) -> str:
    if _is_union(hint):
        return _union_in_words(get_args(hint))
    if is_dataclass(hint):
        assert isinstance(hint, type)
        kind = _kind_of(hint)
        return f"a section of kind `{kind}`" if kind else "a section"
    if get_origin(hint) is Literal:
        choices = ", ".join(f"`{_as_yaml(choice)}`" for choice in get_args(hint))
        return f"one of {choices}" if len(get_args(hint)) > 1 else choices
    if get_origin(hint) is tuple:
        return f"list of {_many(get_args(hint)[0])}"
    if get_origin(hint) is dict:
        return f"mapping of names to {_many(get_args(hint)[1])}"
    return _SCALARS[hint]


def _union_in_words(hints: tuple[Any, ...]) -> str:
    members = [hint for hint in hints if hint is not types.NoneType]
    or_null = " or null" if len(members) < len(hints) else ""
    if len(members) > 1 and all(is_dataclass(member) for member in members):
        kinds = ", ".join(f"`{_kind_of(member)}`" for member in members)
        return f"one of the kinds {kinds}{or_null}"
    return " or ".join(_type_in_words(member) for member in members) + or_null


def _many(hint: Any) -> str:
    words = _type_in_words(hint)
    if words.startswith("one of the kinds"):
        return f"sections, each {words}"
    if words.startswith("a section of kind"):
        return words.replace("a section", "sections", 1)
    return _MANY.get(words, words)


def _default_in_words(spec: Field[Any], hint: Any) -> str:
    default = _default_of(spec)
    if default is MISSING:  # the loader builds a missing section from its defaults
        return OWN_DEFAULTS if is_dataclass(hint) else MUST_BE_SET
    text = _as_yaml(default)
    return OWN_DEFAULTS if is_dataclass(default) and text == "{}" else f"`{text}`"


def _default_of(spec: Field[Any]) -> Any:
    return spec.default if spec.default_factory is MISSING else spec.default_factory()


def _as_yaml(value: Any) -> str:
    """Return a value as YAML on one line; for a section, only the values that it sets itself."""
    if is_dataclass(value):
        return _as_yaml(
            {
                spec.name: getattr(value, spec.name)
                for spec in fields(value)
                if spec.name == "kind" or getattr(value, spec.name) != _default_of(spec)
            }
        )
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        return "{" + ", ".join(f"{key}: {_as_yaml(item)}" for key, item in entries.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_as_yaml(item) for item in cast("tuple[Any, ...]", value)) + "]"
    return _scalar_as_yaml(value)


def _scalar_as_yaml(value: str | float | None) -> str:
    if isinstance(value, str):
        is_plain = re.fullmatch(r"[A-Za-z][\w./-]*", value) and value.lower() not in _YAML_WORDS
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))  # YAML reads `1e-05` as text


def _without_references(sentence: str) -> tuple[str, str]:
    """Split a sentence from its references to the paper."""
    ours = _OTHER_SOURCE.sub("", sentence)
    cited = [ref for found in _REFERENCES.findall(ours) for ref in re.findall(_REFERENCE, found)]

    def shortened(match: re.Match[str]) -> str:
        return f" ({match.group(1)})" if match.group(1) else ""

    return _IN_BRACKETS.sub(shortened, sentence), ", ".join(dict.fromkeys(cited))
