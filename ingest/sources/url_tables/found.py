"""Which files a table is made of, and which format and compression each has by its name."""

from collections.abc import Sequence

from openalign.ingest.sources.paths import Paths
from openalign.ingest.sources.source_files import files_named

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


def table_files(paths: Paths) -> list[str]:
    """Return the URLs of a table's files, in order, at least one.

    A folder stands for every table below it, also behind links. JSON and text files count only
    where a folder holds no other table.

    Raises:
        InputError: nothing is there, or a link of a folder leads nowhere or in a circle.
    """
    return files_named(paths, _tables_among, called=f"files with {ENDINGS}")


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


def _tables_among(names: Sequence[str]) -> list[str]:
    tables = [name for name in names if format_of(name) is not None]
    surely = [name for name in tables if format_of(name) not in _OFTEN_NOTES]
    return surely or tables
