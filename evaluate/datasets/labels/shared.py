"""What the kinds of labelled data sets have in common."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from openalign.evaluate.datasets.contract import DatasetSettings

PAGE = "datasets.md"
"""The page of `docs/` that tells of them all."""

LABEL_TASKS = ("zero_shot", "neighbors", "probe")
"""What is measured on a data set whose classes have names, when nobody says which."""

S = TypeVar("S", bound=DatasetSettings)


class SettingsOfFolder(DatasetSettings, Protocol):
    """Settings of a data set that lies in a folder."""

    @property
    def path(self) -> str:
        """The folder, or the one above it."""
        ...


def folder_holding(marker: str, *, inside: tuple[str, ...]) -> Callable[[SettingsOfFolder], str]:
    """Return an `image_folder`: the data set's own folder, or the one in it that holds a file.

    Args:
        marker: path of the file below the folder.
        inside: folders that archives unpack to, which may hold the file instead.
    """

    def folder(settings: SettingsOfFolder) -> str:
        from openalign.evaluate.datasets.reading.labelled import first_folder_with

        return first_folder_with(settings.path, *inside, holding=marker)

    return folder


def quietly(recognize: Callable[[str, str], S | None]) -> Callable[[str, str], S | None]:
    """Return a `recognize` that says None where a path cannot be looked at.

    What a folder lacks is told when it is read.
    """

    def look(name: str, path: str) -> S | None:
        try:
            return recognize(name, path)
        except Exception:  # noqa: BLE001  # every driver has errors of its own
            return None

    return look


def recognize_holding(
    make: Callable[[str, str], S], *markers: str, inside: tuple[str, ...] = ()
) -> Callable[[str, str], S | None]:
    """Return a `recognize` for a folder that holds these files or folders.

    Args:
        make: makes settings of a name and a path.
        markers: paths below the folder.
        inside: folders that archives unpack to, which may hold the markers instead.
    """

    def recognize(name: str, path: str) -> S | None:
        from openalign.evaluate.datasets.reading.folders import has_files
        from openalign.files.storage import join

        places = (path, *(join(path, folder) for folder in inside))
        held = any(has_files(place, *markers) for place in places)
        return make(name, path) if held else None

    return quietly(recognize)
