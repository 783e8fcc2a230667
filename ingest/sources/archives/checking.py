"""Whether archives hold what their kind says, by their first records."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastwarc import WarcRecord, WarcRecordType

from openalign.errors import InputError
from openalign.ingest.sources.archives.content import opened
from openalign.ingest.sources.archives.found import Archive
from openalign.ingest.sources.archives.http_stream import HttpReader
from openalign.ingest.sources.archives.records import FoundRecord, read_records
from openalign.ingest.sources.archives.tape import ArchiveError, NoArchiveError, Source

_FORMS = "WARC files are read, plain or compressed with gzip or Zstandard"
_LISTED = f"`harvest.source.prefix` stands before each path of the list; {_FORMS}"
_HEAD_BYTES = 1 << 20
_JSON = "application/json"


def require_archives(
    archives: Sequence[Archive], kind: str, reader: HttpReader, *, are_listed: bool
) -> None:
    """Check the beginnings of archives; one that is damaged may stand among others.

    `are_listed` says that a list names them, behind a prefix.

    Raises:
        InputError: an archive is none, or is of another kind; or none of them can be read.
    """
    hint = _LISTED if are_listed else _FORMS
    problems = [
        (archive.url, problem)
        for archive in archives
        if (problem := _problem_of(archive, kind, reader, hint))
    ]
    if len(problems) == len(archives):
        url, problem = problems[0]
        raise InputError(f"{url} cannot be read as an archive: {problem}", hint=hint)


def _problem_of(archive: Archive, kind: str, reader: HttpReader, hint: str) -> str:
    """Return why an archive cannot be read at its beginning; empty if it can."""
    found: set[str] = set()
    problem = ""
    head: _ArchiveHead | None = None
    try:
        with opened(archive.url, reader) as stream:
            head = _ArchiveHead(stream)
            records = read_records(head, _kind_of)
            found.update(record.value for record in records if isinstance(record, FoundRecord))
    except NoArchiveError as error:
        raise InputError(
            f"{archive.url} cannot be read as an archive: {error}", hint=hint
        ) from error
    except ArchiveError as error:
        problem = str(error)
    held = next((name for name in ("warc", "wat", "wet") if name in found), kind)
    if held != kind:
        raise InputError(
            f"{archive.url} is a {held.upper()} file, and the source is of kind {kind}",
            hint="texts alone are no pairs: take the WARC or WAT files beside it"
            if held == "wet"
            else f"write `kind: {held}`",
        )
    # A first record that is longer than what is looked at is no problem.
    return "" if found or (head is not None and head.is_over) else problem


def _kind_of(record: WarcRecord) -> str:
    """Return the kind of archive that a record stands in; empty where it says nothing."""
    if record.record_type in (WarcRecordType.response, WarcRecordType.request):
        return "warc"
    if record.record_type == WarcRecordType.conversion:
        return "wet"
    is_json = (record.headers.get("Content-Type") or "").startswith(_JSON)
    return "wat" if record.record_type == WarcRecordType.metadata and is_json else ""


@dataclass
class _ArchiveHead:
    """The first bytes of an archive."""

    source: Source
    _left: int = _HEAD_BYTES

    @property
    def is_over(self) -> bool:
        """Tell whether the archive may go on where this ends."""
        return self._left == 0

    def read(self, num_bytes: int, /) -> bytes:
        data = self.source.read(min(num_bytes, self._left)) if self._left else b""
        self._left -= len(data)
        return data
