"""Which kind of data set lies at a path: for people who name a path and no kind."""

from collections.abc import Mapping, Sequence

from openalign.errors import ConfigError, InputError
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.kinds import KINDS
from openalign.evaluate.datasets.reading.image_folders import IMAGE_SUFFIXES, list_images, some
from openalign.evaluate.datasets.reading.text import refuse_utf16
from openalign.files import storage
from openalign.settings.yaml_reader import did_you_mean

_SHOWN_BYTES = 40
"""How much of a file of no known form an error shows."""

_LOOKED_AT = 50
"""How many files and folders of a layer are looked at for what may be meant."""

_NAMED = 3
"""How many of them an error names."""


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
    if found := _recognized_as(kinds, name, path):
        return found
    pages = ", ".join(dict.fromkeys(f"docs/{KINDS[kind].page}" for kind in kinds))
    hint = f"{pages} says how forms are laid out; under `benchmarks:` a settings file names the "
    hint += "kind and all its parts"
    held = _held(path)
    forms = "; ".join(f"{kind} ({KINDS[kind].title})" for kind in kinds)
    problem = f"{path} is of none of the forms of `{name}`: {forms}; {held}"
    if kinds == list(KINDS):
        problem = f"{path} is of no form that is known: {held}"
        hint = f"`openalign datasets` lists them; {hint}"
        if storage.is_folder(path) and list_images(path).images:
            hint = _of_images(path)
        if path.lower().removesuffix(".gz").endswith((".csv", ".tsv", ".txt")):
            hint = f"{_of_tables()}; {hint}"
    if near := _known_near(kinds, name, path):
        hint = f"of such a form is {' and '.join(near)}; {hint}"
    raise InputError(problem, hint=hint)


def _of_images(path: str) -> str:
    """Say what a folder of images lacks, and what it may be meant for."""
    return (
        "images become a benchmark by what is said of them: their classes in a table beside them "
        "(openalign datasets class_table), or in a folder a class (openalign datasets "
        "class_folders); or their captions in a file (openalign datasets flickr). Where a JSON "
        "names them, as Karpathy's do (openalign datasets karpathy), name that file: openalign "
        f"datasets check FILE.json --images {path}. To search in them as they are: openalign "
        f"evaluate --model FOLDER --data images={path}. To train on images with texts beside them: "
        f"openalign init NAME {path}"
    )


def _of_tables() -> str:
    """Say what the first line of a table must hold."""
    from openalign.evaluate.datasets.captions.flickr_reading import CAPTION_COLUMNS
    from openalign.evaluate.datasets.labels.class_table_reading import CLASS_COLUMNS

    return (
        f"a table's first line names its columns: the image, and one of {', '.join(CLASS_COLUMNS)} "
        f"(openalign datasets class_table) or of {', '.join(CAPTION_COLUMNS)} (openalign datasets "
        "flickr)"
    )


def _recognized_as(
    kinds: Sequence[str], name: str, path: str
) -> Mapping[str, DatasetSettings] | None:
    for kind in kinds:
        if collection := KINDS[kind].expand(name, path):
            return collection
        if (settings := KINDS[kind].recognize(name, path)) is not None:
            return {name: settings}
    return None


def _known_near(kinds: Sequence[str], name: str, path: str) -> list[str]:
    """Return paths of a known form around one of no such form: people name other layers.

    What lies in the path comes first, then what lies in the folders there, then the folder above;
    but not above an empty folder, and not for images alone, which any folder above has somewhere.
    It raises nothing.
    """
    layer = [path]
    for _ in range(2):
        layer = [each for folder in layer for each in _inside(folder)][:_LOOKED_AT]
        if found := [each for each in layer if _recognized_as(kinds, name, each)]:
            return found[:_NAMED]
    if kinds == ["images"] or (storage.is_folder(path) and not storage.list_names(path)):
        return []
    above = path.rstrip("/").rpartition("/")[0]
    return [above] if above and _recognized_as(kinds, name, above) else []


def _inside(folder: str) -> list[str]:
    """Return what may be a data set directly inside a folder: no image is."""
    try:
        names = storage.list_names(folder) if storage.is_folder(folder) else []
    except Exception:  # noqa: BLE001  # every driver has errors of its own
        return []
    return [storage.join(folder, n) for n in names if not n.lower().endswith(IMAGE_SUFFIXES)]


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
