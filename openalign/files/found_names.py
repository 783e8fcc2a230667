"""Checks of the names that a folder is found to hold, before anything is made of them."""

from collections.abc import Iterable

from openalign.errors import InputError
from openalign.files import storage


def check_links(folder: str, names: Iterable[str]) -> None:
    """Check that links in a folder of this machine lead somewhere; other folders always pass.

    Raises:
        InputError: one of them leads nowhere, as a link to a disk that is not mounted does.
    """
    if not storage.is_local(folder):
        return
    for path in (storage.local_path(folder) / name for name in names):
        if path.is_symlink() and not path.exists():
            raise InputError(
                f"{path} is a link that leads nowhere",
                hint="mend it or remove it: what it stood for would be missing",
            )
