"""A config as YAML with the sentence of each setting above it; the loader reads it back."""

import textwrap
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

import yaml

from openalign.settings.fields import to_plain
from openalign.settings.sentences import sentences_under

_WIDTH = 100


def explained(name: str, config: Any, *, without: Collection[str] = ()) -> str:
    """Return `name:` and below it a config dataclass as YAML, a comment above each setting.

    Args:
        name: the outermost key.
        config: the dataclass.
        without: fields of the dataclass that are left out.
    """
    return _key(name) + ":\n" + _section(config, "  ", without)


def _section(config: Any, indent: str, without: Collection[str] = ()) -> str:
    sentences = sentences_under(config.__class__)
    return "".join(
        _comment(sentences[spec.name], indent)
        + _entry(spec.name, getattr(config, spec.name), indent)
        for spec in fields(config)
        if spec.name not in without
    )


def _entry(name: str, value: Any, indent: str) -> str:
    """Return a key with its value; the value may hold sections."""
    head, inside = f"{indent}{_key(name)}:\n", indent + "  "
    if is_dataclass(value):
        return head + _section(value, inside)
    if isinstance(value, tuple):
        items = cast("tuple[Any, ...]", value)
        if any(map(is_dataclass, items)):
            return head + "".join(_item(item, indent) for item in items)
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        if any(map(is_dataclass, entries.values())):
            return head + "".join(_entry(key, item, inside) for key, item in entries.items())
    return textwrap.indent(_yaml({name: to_plain(cast("Any", value))}), indent)


def _item(value: Any, indent: str) -> str:
    """Return a section as an item of a list: the dash stands before its first comment."""
    return f"{indent}- {_section(value, indent + '  ').lstrip()}"


def _comment(sentence: str, indent: str) -> str:
    lines = textwrap.wrap(
        sentence,
        width=_WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"{line}\n" for line in lines)


def _key(name: str) -> str:
    """Return a key as YAML writes it, quoted where it must be."""
    return _yaml({name: None}).rpartition(":")[0]


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
