"""Which kind of data set lies at a path: for people who name a path and no kind."""

from collections.abc import Mapping

from openalign.errors import ConfigError, InputError
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.kinds import KINDS
from openalign.evaluate.datasets.reading.image_folders import list_images, some
from openalign.evaluate.datasets.reading.text import refuse_utf16
from openalign.files import storage
from openalign.settings.yaml_reader import did_you_mean

_SHOWN_BYTES = 40
"""How much of a file of no known form an error shows."""


def recognized(name: str, path: str) -> Mapping[str, DatasetSettings]:
    """Return the settings of the data set at a path, by its name; a collection has several.

    A name that is a kind's, or that of a published data set, says which kinds it can be of. Any
    other name leaves it to the path. The first kind of the table that knows the form is taken.

    Raises:
        InputError: nothing is there, or it is of none of these kinds.
    """
    storage.check_reachable(path)
    if not storage.exists(path):
        raise InputError(f"there is nothing at {path}")
    kinds = kinds_called(name) or list(KINDS)
    for kind in kinds:
        if collection := KINDS[kind].expand(name, path):
            return collection
        if (settings := KINDS[kind].recognize(name, path)) is not None:
            return {name: settings}
    pages = ", ".join(dict.fromkeys(f"docs/{KINDS[kind].page}" for kind in kinds))
    hint = f"{pages} says how forms are laid out; under `benchmarks:` a settings file names the "
    hint += "kind and all its parts"
    if kinds == list(KINDS):
        raise InputError(
            f"{path} is of no form that is known: {_held(path)}",
            hint=f"`openalign datasets` lists them; {hint}",
        )
    forms = "; ".join(f"{kind} ({KINDS[kind].title})" for kind in kinds)
    raise InputError(
        f"{path} is of none of the forms of `{name}`: {forms}; {_held(path)}", hint=hint
    )


def _held(path: str) -> str:
    """Say what lies at a path that no kind knows.

    Raises:
        InputError: it is a text in another encoding than UTF-8.
    """
    if storage.is_folder(path):
        folder = list_images(path)
        parts = {"folders": folder.folders, "images": folder.images, "files": folder.others}
        held = [f"the {what} {some(names)}" for what, names in parts.items() if names]
        return f"it holds {', '.join(held) or 'nothing'}"
    head = storage.read_range(path, 0, min(storage.size_of(path), _SHOWN_BYTES))
    refuse_utf16(path, head)
    if not head:
        return "it is an empty file"
    return f"it is a file that begins with {head.decode(errors='replace')!r}"


def kinds_called(name: str) -> list[str]:
    """Return the kinds that a name stands for: its own, or those that a data set comes in."""
    if name in KINDS:
        return [name]
    return [kind for kind, offered in KINDS.items() if name in offered.names]


def require_known(name: str) -> None:
    """Check that a name stands for a kind.

    Raises:
        ConfigError: it does not.
    """
    if not kinds_called(name):
        names = dict.fromkeys(n for kind, each in KINDS.items() for n in (kind, *each.names))
        raise ConfigError(
            f"`{name}` is no kind of data set and no data set that is known",
            hint=did_you_mean(name, names) or "`openalign datasets` lists them",
        )
