"""Which key was probably meant by one that is no setting."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any, NamedTuple, cast, get_origin, get_type_hints

from openalign.settings.examples import example_of, kinds_of, section_of_kind
from openalign.settings.fields import usual_names

_MOST_KEYS_NAMED = 3


def key_hint(
    cls: type[Any],
    name: str,
    *,
    section: str = "",
    inside: Sequence[str] = (),
    root: type[Any] | None = None,
) -> str | None:
    """Return a hint that names the whole key that was meant; None where none is near.

    A key that is spelled right and stands in the wrong section is found below this one, and so is
    one that has the name that people usually give it. What stands before a key by mistake, such as
    a pipeline's name, is left out. Where all this finds none, a key of that very name is looked for
    in all sections.

    Args:
        cls: the class of the section that has no such setting.
        name: what was written.
        section: the key of the section; empty for the outermost one.
        inside: the keys below the name, from the outermost to the innermost.
        root: the class of all settings, where it is known.
    """
    hints = get_type_hints(cls)
    if inside and inside[0] in hints:
        return _meant(section, _real_keys(cls, inside))
    if own := usual_names(cls).get(name):
        return _meant(section, [own])
    if listed := section_of_kind(hints, name):
        setting, kind = listed
        return f"write `{section}.{setting}: [{example_of(kind)}]`".replace("`.", "`")
    below = [each.key for each in _keys(cls) if each.called == name]
    close = difflib.get_close_matches(name, list(hints), n=1)
    if close and not below:
        below = _real_keys(cls, [close[0], *inside])
    return _meant(section, below) or _elsewhere(root, name)


def _elsewhere(root: type[Any] | None, name: str) -> str | None:
    """Return a hint at keys of this name in other sections; none where many are called so."""
    if root is None:
        return None
    found = {each.key for each in _keys(root) if each.key.endswith(f".{name}")}
    return _meant("", sorted(found)) if len(found) <= _MOST_KEYS_NAMED else None


class _Key(NamedTuple):
    key: str
    called: str
    """Its last part, or a name that people usually give it."""

    is_mapping: bool
    """Whether any name may stand below it."""


def _real_keys(cls: type[Any], path: Sequence[str]) -> list[str]:
    """Return the keys that a path means which begins with one of a section's own settings.

    Where no key is near the path's end, the last one on the way there is returned.
    """
    whole, known = ".".join(path), list(_keys(cls))
    if any(whole == each.key or _is_free(whole, each) for each in known):
        return [whole]
    in_section = [each for each in known if each.key.startswith(f"{path[0]}.")]
    if meant := [each.key for each in in_section if each.called == path[-1]]:
        return meant
    near = ""
    for part in path:
        here = {each.called: each.key for each in known if each.key.rpartition(".")[0] == near}
        close = difflib.get_close_matches(part, here, n=1)
        if not close:
            break
        near = here[close[0]]
    return [near]


def _is_free(whole: str, above: _Key) -> bool:
    return above.is_mapping and whole.startswith(f"{above.key}.")


def _meant(section: str, keys: Sequence[str]) -> str | None:
    whole = [f"`{section}.{key}`" if section else f"`{key}`" for key in dict.fromkeys(keys)]
    return f"did you mean {' or '.join(whole[:_MOST_KEYS_NAMED])}?" if whole else None


def _keys(cls: type[Any], above: tuple[type[Any], ...] = ()) -> Iterator[_Key]:
    """Yield the keys of all settings of a section and of the sections in it, whatever their kinds.

    Each comes with its last part, and again with each name that people usually give it.
    """
    hints = get_type_hints(cls)
    called = [*((name, name) for name in hints), *usual_names(cls).items()]
    for word, name in called:
        yield _Key(name, word, is_mapping=_is_mapping(hints[name]))
    for name, hint in hints.items():
        for kind in kinds_of(hint):
            if is_dataclass(kind) and kind not in (cls, *above):
                for each in _keys(cast("type[Any]", kind), (cls, *above)):
                    yield each._replace(key=f"{name}.{each.key}")


def _is_mapping(hint: Any) -> bool:
    return any(get_origin(kind) is dict for kind in kinds_of(hint))
