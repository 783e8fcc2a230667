"""Declarations for config dataclasses: a setting's part in a result's identity, and old names.

A fingerprint holds every setting that can change a byte of the output. Rates, worker counts and
ports cannot change one: `runtime` declares such settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any, TypeVar

T = TypeVar("T")

RUNTIME = "is no part of the fingerprint"
LOCATION = "where an input lies; its content counts"

_OUTSIDE = "outside_identity"
_RENAMED = "__renamed_settings__"
_REFUSED = "__refused_values__"
_USUAL = "__usual_names__"


def runtime(default: T) -> T:
    """Declare a setting that changes how the work is done, but no byte of its result."""
    return field(default=default, metadata={_OUTSIDE: RUNTIME})


def runtime_factory(make: Callable[[], T]) -> T:
    """Declare a `runtime` setting whose default is created per instance, such as a dict."""
    return field(default_factory=make, metadata={_OUTSIDE: RUNTIME})


def location(default: Any = MISSING) -> Any:
    """Declare an input's location: its content is part of the result's identity, its path is not.

    The runner adds the fingerprint of the content to the stage's inputs.
    """
    return field(default=default, metadata={_OUTSIDE: LOCATION})


def why_outside_identity(setting: Field[Any]) -> str:
    """Return why a setting is outside the result's identity: `RUNTIME`, `LOCATION` or empty."""
    return str(setting.metadata.get(_OUTSIDE, ""))


def renamed(hints: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Declare old keys of a settings class; each hint tells what to write today.

        @renamed({"min_size": "write `short_side_above_px: 200`"})
        @dataclass(frozen=True, slots=True, kw_only=True)
        class ImageRules: ...

    The loader gives the hint in its error about the old key.
    """

    def declare(cls: type[T]) -> type[T]:
        setattr(cls, _RENAMED, dict(hints))
        return cls

    return declare


def renamed_settings(cls: type[object]) -> Mapping[str, str]:
    """Return the old keys that `renamed` declared, each with its hint."""
    return getattr(cls, _RENAMED, {})


def usually_called(names: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Declare what people call settings of a class elsewhere, such as `lr`, by that name.

    The loader takes none of them: its error about such a key names the setting.
    """

    def declare(cls: type[T]) -> type[T]:
        setattr(cls, _USUAL, dict(names))
        return cls

    return declare


def usual_names(cls: type[object]) -> Mapping[str, str]:
    """Return the settings that `usually_called` declared other names of, by those."""
    return getattr(cls, _USUAL, {})


def refused(hints: Mapping[str, Mapping[str, str]]) -> Callable[[type[T]], type[T]]:
    """Declare values that a setting does not take although others offer them, each with a reason.

    The loader gives the reason in its error about the value.
    """

    def declare(cls: type[T]) -> type[T]:
        setattr(cls, _REFUSED, {name: dict(reasons) for name, reasons in hints.items()})
        return cls

    return declare


def refused_values(cls: type[object]) -> dict[str, dict[str, str]]:
    """Return the values that `refused` declared, by setting, each with its reason."""
    return getattr(cls, _REFUSED, {})


def to_plain(config: object) -> Any:
    """Return a config as nested dicts, lists and scalars, in the order of its fields."""
    return _plain(config, whole=True)


def identity(config: object) -> Any:
    """Return the config as `to_plain` does, without `runtime` and `location` settings."""
    return _plain(config, whole=False)


def _plain(value: Any, *, whole: bool) -> Any:
    if is_dataclass(value):
        return {
            f.name: _plain(getattr(value, f.name), whole=whole)
            for f in fields(value)
            if whole or _OUTSIDE not in f.metadata
        }
    if isinstance(value, (tuple, list)):
        return [_plain(item, whole=whole) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {str(k): _plain(v, whole=whole) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value
