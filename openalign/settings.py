"""What the config dataclasses share: which settings are part of a result's identity.

A fingerprint holds every setting that can change a byte of the output. Where the work runs, how
fast it may go and through which port a host is reached cannot, and are declared with `runtime`.
"""

from dataclasses import field, fields, is_dataclass
from typing import Any, TypeVar

T = TypeVar("T")

_RUNTIME = "runtime"


def runtime(default: T) -> T:
    """Declare a setting that changes how work is done but no byte of its result."""
    return field(default=default, metadata={_RUNTIME: True})


def to_plain(config: object) -> Any:
    """Return a config as nested dicts, lists and scalars, in the order of its fields."""
    return _plain(config, with_runtime=True)


def identity(config: object) -> Any:
    """Return what `to_plain` does, without the settings that `runtime` declared."""
    return _plain(config, with_runtime=False)


def _plain(value: Any, *, with_runtime: bool) -> Any:
    if is_dataclass(value):
        return {
            f.name: _plain(getattr(value, f.name), with_runtime=with_runtime)
            for f in fields(value)
            if with_runtime or _RUNTIME not in f.metadata
        }
    if isinstance(value, (tuple, list)):
        return [_plain(item, with_runtime=with_runtime) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {str(k): _plain(v, with_runtime=with_runtime) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value
