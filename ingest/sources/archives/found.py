"""Which archives a source names: a path, or a list as Common Crawl publishes it."""

import zlib
from typing import NamedTuple

from openalign.errors import InputError
from openalign.ingest.sources.archive import ArchiveSource
from openalign.ingest.sources.archives.content import opened
from openalign.ingest.sources.archives.http_stream import HttpReader
from openalign.ingest.sources.archives.tape import ArchiveError
from openalign.ingest.sources.paths import each_of
from openalign.ingest.sources.source_files import files_named, folder_of, name_in

_WEB = ("http://", "https://")
_GZIP = b"\x1f\x8b"
_PACKED = ("", ".gz", ".zst")


class Archive(NamedTuple):
    """An archive, and what it is called in the results."""

    name: str
    url: str

    @property
    def is_on_web(self) -> bool:
        """Tell whether a web server is asked for it."""
        return self.url.startswith(_WEB)


def archives_of(source: ArchiveSource, reader: HttpReader) -> list[Archive]:
    """Return the archives of a source, in order, at least one.

    Raises:
        InputError: nothing is there, or the list cannot be read.
    """
    if source.paths:
        return _listed(source, reader)
    urls = [
        url
        for path in each_of(source.path)
        for url in ([_on_web(path)] if path.startswith(_WEB) else _in_store(path, source.kind))
    ]
    urls = list(dict.fromkeys(urls))
    folder = folder_of(source.path, urls)
    return [Archive(name_in(folder, url), url) for url in urls]


def _on_web(path: str) -> str:
    if "*" in path:
        raise InputError(
            f"{path} is a pattern, and a web server names no files",
            hint="name one archive, or a list of them with `harvest.source.paths`",
        )
    return path


def _in_store(path: str, kind: str) -> list[str]:
    return files_named(
        path,
        lambda names: [name for name in names if _is(name, kind)],
        called=f".{kind} files, also with .gz or .zst",
    )


def _is(name: str, kind: str) -> bool:
    return name.lower().endswith(tuple(f".{kind}{packed}" for packed in _PACKED))


def _listed(source: ArchiveSource, reader: HttpReader) -> list[Archive]:
    try:
        with opened(source.paths, reader) as stream:
            content = b"".join(iter(lambda: stream.read(1 << 20), b""))
        if content.startswith(_GZIP):
            content = zlib.decompress(content, wbits=31)
        lines = _lines_of(content.decode())
    except (ArchiveError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(
            f"{source.paths} cannot be read as a list of archives: {error}",
            hint="it holds a path a line, and may be packed with gzip; Common Crawl's are called "
            f"{source.kind}.paths.gz",
        ) from error
    chosen = lines[source.skip :]
    chosen = chosen if source.first is None else chosen[: source.first]
    if not chosen:
        raise InputError(
            f"{source.paths} has {len(lines):,} archives, of which none is read"
            if lines
            else f"{source.paths} names no archive",
            hint="see `harvest.source.skip` and `first`" if lines else "it holds a path a line",
        )
    return [_of_line(line, source.prefix) for line in chosen]


def _lines_of(text: str) -> list[str]:
    """Return the paths of a list.

    Raises:
        ArchiveError: it is a page, as servers send it in place of what is not there.
    """
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    if lines and lines[0].startswith("<"):
        raise ArchiveError(f"it begins with {lines[0][:20]!a}")
    return lines


def _of_line(line: str, prefix: str) -> Archive:
    if "://" in line:
        return Archive(line.split("://", 1)[1].partition("/")[2].partition("?")[0], line)
    return Archive(line, f"{prefix.rstrip('/')}/{line.lstrip('/')}")
