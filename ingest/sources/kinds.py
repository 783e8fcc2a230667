"""The table of source kinds: one module a kind, one line here.

Settings are made from this table, so a kind's module imports nothing heavy at its top.
"""

from typing import TYPE_CHECKING, Any, Union

from openalign.ingest.sources import crawl, karpathy, local_files, table, tars, warc, wat
from openalign.ingest.sources.contract import SourceKind, SourceSettings

KINDS: dict[str, SourceKind[Any]] = {
    "site": crawl.KIND,
    "table": table.KIND,
    "local_files": local_files.KIND,
    "karpathy": karpathy.KIND,
    "tars": tars.KIND,
    "warc": warc.KIND,
    "wat": wat.KIND,
}

if TYPE_CHECKING:
    AnySource = SourceSettings
else:
    AnySource = Union[tuple(kind.settings for kind in KINDS.values())]  # noqa: UP007


def kind_of(source: SourceSettings) -> SourceKind[Any]:
    """Return the kind of a source."""
    return KINDS[source.kind]


def fingerprints(source: SourceSettings, *, cache: str) -> dict[str, str]:
    """Return the hash of what a source holds, by the name of its kind; empty where it has none.

    `cache` is the URL of a cache of files' hashes.
    """
    fingerprint = kind_of(source).fingerprint
    return {} if fingerprint is None else {source.kind: fingerprint(source, cache)}
