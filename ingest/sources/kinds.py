"""The table of source kinds: one module a kind, one line here.

Settings are made from this table, so a kind's module imports nothing heavy at its top.
"""

from typing import TYPE_CHECKING, Any, Union

from openalign.ingest.sources import crawl, karpathy, local_files, table, tars, warc, wat
from openalign.ingest.sources.contract import SourceKind, SourceSettings
from openalign.ingest.web.config import WebConfig

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


def kind_asking(source: SourceSettings, web: WebConfig) -> SourceKind[Any]:
    """Return the kind of a source, whose check and fingerprint ask web servers as `web` says."""
    kind = kind_of(source)
    return kind if kind.with_web is None else kind.with_web(web)


def fingerprints(source: SourceSettings, web: WebConfig, *, cache: str) -> dict[str, str]:
    """Return the hash of what a source holds, by the name of its kind; empty where it has none.

    `cache` is the URL of a cache of files' hashes.
    """
    fingerprint = kind_asking(source, web).fingerprint
    return {} if fingerprint is None else {source.kind: fingerprint(source, cache)}
