"""Which files a table is made of: one file, those that a pattern names, or all of a folder."""

from openalign.errors import InputError
from openalign.files import storage

_ENDINGS = (".parquet", ".csv", ".tsv", ".csv.gz", ".tsv.gz")
_HINT = "check `harvest.source.path` and its stars"


def table_files(path: str) -> list[str]:
    """Return the URLs of a table's files, in order, at least one.

    A folder stands for every parquet, csv and tsv file below it; names that begin with a dot or
    an underscore are skipped, as the tools that write such folders expect.

    Raises:
        InputError: nothing is there.
    """
    if "*" in path:
        found = storage.list_glob(path)
    elif below := _files_below(path):
        found = [storage.join(path, name) for name in below if _is_table(name)]
    else:
        found = storage.list_glob(path) if _is_file(path) else []
    if not found:
        raise InputError(f"{path} names no file", hint=_HINT)
    return found


def _files_below(path: str) -> list[str]:
    """Return what a folder holds; nothing for a file. Web servers have no folders to list."""
    return [] if path.startswith(("http://", "https://")) else storage.list_files(path)


def _is_file(path: str) -> bool:
    """Tell whether a path that has nothing below it is a file; only a local folder can be empty."""
    is_folder = storage.is_local(path) and storage.local_path(path).is_dir()
    return storage.exists(path) and not is_folder


def _is_table(name: str) -> bool:
    is_hidden = any(part.startswith((".", "_")) for part in name.split("/"))
    return not is_hidden and name.lower().endswith(_ENDINGS)
