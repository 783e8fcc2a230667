"""Which kind of data set lies at a path: for people who name a path and no kind."""

from openalign.errors import ConfigError, InputError
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.kinds import KINDS
from openalign.files import storage

_LISTS = "`openalign datasets` lists the forms; under `benchmarks:` a settings file names one"


def recognized(name: str, path: str) -> DatasetSettings:
    """Return the settings of the data set at a path.

    A name that is a kind's, or that of a published data set, says which kinds it can be of. Any
    other name, or none, leaves it to the path.

    Raises:
        InputError: nothing is there, it is of none of these kinds, or of several.
    """
    storage.check_reachable(path)
    if not storage.exists(path):
        raise InputError(f"there is nothing at {path}")
    kinds = kinds_called(name) or list(KINDS)
    found = {
        kind: settings
        for kind in kinds
        if (settings := KINDS[kind].recognize(name, path)) is not None
    }
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise InputError(
            f"{path} may be of the kinds {', '.join(found)}",
            hint="give it the name of one of them, or of the data set. " + _LISTS,
        )
    forms = "; ".join(f"{kind} ({KINDS[kind].title})" for kind in kinds)
    raise InputError(f"{path} is of none of these forms: {forms}", hint=_LISTS)


def kinds_called(name: str) -> list[str]:
    """Return the kinds that a name stands for: its own, or those that a data set comes in."""
    if name in KINDS:
        return [name]
    return [kind for kind, offered in KINDS.items() if name in offered.names]


def require_kind(name: str) -> None:
    """Check that a name stands for a kind.

    Raises:
        ConfigError: it does not.
    """
    if not kinds_called(name):
        names = dict.fromkeys(n for kind, each in KINDS.items() for n in (kind, *each.names))
        raise ConfigError(
            f"`{name}` is no kind of data set and no data set", hint=f"known: {', '.join(names)}"
        )
