"""What a section looks like that was written as something else: an example for the hint."""

import types
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import yaml

_MOST_KEYS = 3


def example_of(cls: type[Any]) -> str:
    """Return a section in one line, such as `{kind: model, path: ...}`.

    It has the section's kind and what must be set; where nothing must, its first settings.
    """
    hints = get_type_hints(cls)
    wanted = [spec for spec in fields(cls) if spec.name == "kind" or _is_required(spec)]
    if not any(_is_required(spec) for spec in wanted):
        plain = [spec for spec in fields(cls) if _is_plain(spec.default)]
        wanted = plain[:_MOST_KEYS]
    shown = [f"{spec.name}: {_example(spec, hints[spec.name])}" for spec in wanted]
    return "{" + ", ".join(shown) + "}"


def section_of_kind(hints: dict[str, Any], kind: str) -> tuple[str, type[Any]] | None:
    """Return the setting among these that takes sections of a kind in a list, and their class."""
    for name, hint in hints.items():
        if get_origin(hint) is tuple:
            for cls in kinds_of(get_args(hint)[0]):
                if is_dataclass(cls) and _kind_of(cast("type[Any]", cls)) == kind:
                    return name, cast("type[Any]", cls)
    return None


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the one type that is none."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _kind_of(cls: type[Any]) -> str | None:
    kind = get_type_hints(cls).get("kind")
    return str(get_args(kind)[0]) if get_origin(kind) is Literal else None


def _is_required(spec: Field[Any]) -> bool:
    return spec.default is MISSING and spec.default_factory is MISSING


def _example(spec: Field[Any], hint: Any) -> str:
    if is_dataclass(hint):
        return example_of(cast("type[Any]", hint))
    if spec.default in (MISSING, None, ""):
        return "..."
    text = yaml.safe_dump([spec.default], default_flow_style=True, allow_unicode=True)
    return str(text).strip()[1:-1]


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
