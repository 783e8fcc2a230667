"""Which key was probably meant by one that is no setting."""

import difflib
import types
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from openalign.settings.fields import usual_names

_MOST_KEYS_NAMED = 3


def key_hint(
    cls: type[Any], name: str, *, section: str = "", inside: Sequence[str] = ()
) -> str | None:
    """Return a hint that names the whole key that was meant; None where none is near.

    A key that is spelled right and stands in the wrong section is found below this one, and so is
    one that has the name that people usually give it. What stands before a key by mistake, such as
    a pipeline's name, is left out.

    Args:
        cls: the class of the section that has no such setting.
        name: what was written.
        section: the key of the section; empty for the outermost one.
        inside: the keys below the name, from the outermost to the innermost.
    """
    hints = get_type_hints(cls)
    if inside and inside[0] in hints:
        return _meant([_joined(section, key) for key in _whole_keys(cls, inside)])
    if own := usual_names(cls).get(name):
        return _meant([_joined(section, own)])
    below = [_joined(section, key) for key, called in _keys_below(cls) if called == name]
    close = difflib.get_close_matches(name, list(hints), n=1)
    if close and not below:
        below = [_joined(section, close[0], *inside)]
    return _meant(below)


def _whole_keys(cls: type[Any], path: Sequence[str]) -> list[str]:
    """Return the keys that a path means which begins with one of a section's own settings."""
    whole, known = ".".join(path), list(_keys_below(cls))
    if whole not in {key for key, _ in known}:
        in_section = [(key, called) for key, called in known if key.startswith(f"{path[0]}.")]
        if meant := [key for key, called in in_section if called == path[-1]]:
            return meant
    return [whole]


def _meant(keys: Sequence[str]) -> str | None:
    named = " or ".join(f"`{key}`" for key in list(dict.fromkeys(keys))[:_MOST_KEYS_NAMED])
    return f"did you mean {named}?" if named else None


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _keys_below(cls: type[Any], above: tuple[type[Any], ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the keys of all settings inside the sections of a section, whatever their kinds.

    Each comes with its last part, and again with each name that people usually give it.
    """
    for name, hint in get_type_hints(cls).items():
        kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        for kind in kinds:
            if is_dataclass(kind) and kind not in (cls, *above):
                section = cast("type[Any]", kind)
                for key in get_type_hints(section):
                    yield f"{name}.{key}", key
                for called, key in usual_names(section).items():
                    yield f"{name}.{key}", called
                inside = _keys_below(section, (cls, *above))
                yield from ((f"{name}.{key}", called) for key, called in inside)
