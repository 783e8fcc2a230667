"""Which files a table is made of, and which format and compression each has by its name."""

from openalign.errors import InputError
from openalign.files import storage
from openalign.ingest.sources.listing import files_below, is_local_folder

_FORMATS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".txt": "txt",
}
_CODECS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_OFTEN_NOTES = ("json", "txt")
"""Formats that notes about a table often have, such as `README.txt` or `dataset_infos.json`."""

ENDINGS = f"{', '.join(_FORMATS)}; each also with {', '.join(_CODECS)}"


def table_files(path: str) -> list[str]:
    """Return the URLs of a table's files, in order, at least one.

    A folder stands for every table below it, also behind links. Names that begin with a dot or an
    underscore are left out: the tools that write such folders keep notes of their own there. JSON
    and text files count only where a folder holds no other table.

    Raises:
        InputError: nothing is there, or a link of a folder leads nowhere or in a circle.
    """
    if "*" in path:
        found = [
            file
            for name in storage.list_glob(path)
            for file in (_tables_below(name) if is_local_folder(name) else [name])
        ]
    else:
        found = _tables_below(path) or (storage.list_glob(path) if _is_file(path) else [])
    if not found:
        raise InputError(f"{path} names no file", hint="check `harvest.source.path` and its stars")
    return found


def format_of(url: str) -> str | None:
    """Return the format that a file's ending says; None for an ending that says nothing."""
    return _FORMATS.get(_ending(_bare_name(url)))


def codec_of(url: str) -> str | None:
    """Return the compression around a file, as Arrow calls it; None for none."""
    return _CODECS.get(_ending(_name(url)))


def _name(url: str) -> str:
    """Return a file's name in lower case, without the query of a web address."""
    is_web = url.startswith(("http://", "https://"))
    return (url.partition("?")[0] if is_web else url).rpartition("/")[2].lower()


def _bare_name(url: str) -> str:
    name = _name(url)
    return name.removesuffix(_ending(name)) if _ending(name) in _CODECS else name


def _ending(name: str) -> str:
    return name[name.rindex(".") :] if "." in name else ""


def _tables_below(path: str) -> list[str]:
    """Return a folder's tables, in order; nothing for a file. Web servers list no folders."""
    if path.startswith(("http://", "https://")):
        return []
    is_file = storage.is_local(path) and not is_local_folder(path)
    names = [] if is_file else files_below(path)
    tables = [name for name in names if _is_table(name)]
    surely = [name for name in tables if format_of(name) not in _OFTEN_NOTES]
    return [storage.join(path, name) for name in surely or tables]


def _is_file(path: str) -> bool:
    """Tell whether a path that has nothing below it is a file; only a local folder can be empty."""
    return storage.exists(path) and not is_local_folder(path)


def _is_table(name: str) -> bool:
    is_hidden = any(part.startswith((".", "_")) for part in name.split("/"))
    return not is_hidden and format_of(name) is not None
