"""The source kind `table`: image URLs and their captions in tables of many formats."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from openalign.ingest.sources.contract import ReadingSetup, SourceKind
from openalign.ingest.sources.table_conditions import Condition, parse_condition
from openalign.ingest.sources.table_layouts import LAYOUTS, Layout
from openalign.settings.fields import location

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSource:
    """Read image URLs and their captions from Parquet, CSV, TSV, JSON, text or Arrow files."""

    kind: Literal["table"] = "table"
    """Which source this is."""

    path: str | tuple[str, ...] = location()
    """A file, a folder, several files by a pattern with stars, or a list of these; any fsspec URL.
    The ending of a file says which format it has."""

    layout: Literal["", "cc3m", "cc12m", "laion", "coyo", "datacomp", "redcaps", "sbu"] = ""
    """A published table whose columns are known; then `url_column`, `caption_column` and `header`
    are not set."""

    url_column: str = "url"
    """Column with the images' addresses."""

    caption_column: str = "caption"
    """Column with their texts: one a row, or a list of several."""

    header: tuple[str, ...] = ()
    """Names of the columns of a CSV, TSV or TXT that has no line of names."""

    quoting: Literal["by_format", "doubled", "backslash", "none"] = "by_format"
    """What quotation marks mean in a CSV, TSV or TXT. `doubled`: a cell may stand between two, and
    one inside is doubled. `backslash`: one inside is behind a backslash, as Spark writes it.
    `none`: nothing. By format a CSV is doubled, and the others are none."""

    language_column: str = ""
    """Column with a row's language, which becomes the candidate's `page_language`; empty for
    none."""

    sha256_column: str = ""
    """Column with the sha256 that the image's bytes had, in hex. Fetch refuses other bytes."""

    carry_columns: tuple[str, ...] = ()
    """Columns that travel with each candidate to the ledger, as JSON in its column `carried`."""

    where: tuple[str, ...] = ()
    """Conditions that a row must meet, such as `similarity >= 0.3` or `LANGUAGE in en, de`; others
    are counted as `left_out`."""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path must name a file, got nothing")
        if self.url_column == self.caption_column:
            raise ValueError(
                f"caption_column must not be the url_column, got {self.caption_column!r} for both"
            )
        beside = [
            name
            for name, by_default in (
                ("url_column", "url"),
                ("caption_column", "caption"),
                ("header", ()),
            )
            if getattr(self, name) != by_default
        ]
        if self.layout and beside:
            raise ValueError(
                f"layout {self.layout} names the columns itself: {' and '.join(beside)} must not "
                "be set beside it"
            )
        _ = self.conditions

    @property
    def columns(self) -> Layout:
        """Return which column holds what, from the layout and the settings beside it."""
        layout = LAYOUTS.get(self.layout)
        named = layout or Layout(
            url=self.url_column, caption=self.caption_column, header=self.header
        )
        return Layout(
            url=named.url,
            caption=named.caption,
            header=named.header,
            language=self.language_column or named.language,
            sha256=self.sha256_column or named.sha256,
        )

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions of `where`, parsed.

        Raises:
            ValueError: one of them has another form.
        """
        return tuple(parse_condition(text) for text in self.where)

    @property
    def used_columns(self) -> tuple[str, ...]:
        """Return the columns that are read, each once."""
        columns = self.columns
        named = (
            *(columns.url, columns.caption, columns.language, columns.sha256),
            *(condition.column for condition in self.conditions),
            *self.carry_columns,
        )
        return tuple(name for name in dict.fromkeys(named) if name)


def check(source: TableSource) -> None:
    """Check that every file of a table has all columns that are named.

    A damaged file among whole ones passes: the run names it at its end.

    Raises:
        InputError: names the file, what is missing and what was found instead.
    """
    from openalign.ingest.sources.url_tables.formats import check_files
    from openalign.ingest.sources.url_tables.found import table_files

    check_files(table_files(source.path), source)


def fingerprint(source: TableSource, cache: str) -> str:
    """Return the hash of the files' names and contents; where they lie makes no difference.

    A name says which format a file has, and the harvest's page shows it.

    Raises:
        InputError: no file is there, or one cannot be read.
    """
    from openalign.files.fingerprints import fingerprint_of
    from openalign.files.hash_cache import hashes_of
    from openalign.ingest.sources.source_files import folder_of, name_in
    from openalign.ingest.sources.url_tables.found import table_files

    urls = table_files(source.path)
    folder = folder_of(source.path, urls)
    hashes = hashes_of(urls, cache=cache)
    return fingerprint_of([[name_in(folder, url), hashes.get(url)] for url in urls])


def reading(source: TableSource, setup: ReadingSetup) -> "beam.PTransform[Any, Any]":
    """Return the read of all files."""
    from openalign.ingest.sources.url_tables.found import table_files
    from openalign.ingest.sources.url_tables.table_reading import ReadPairs

    del setup  # files are read in place; nothing is cached
    return ReadPairs(urls=table_files(source.path), source=source)


KIND = SourceKind(settings=TableSource, check=check, reading=reading, fingerprint=fingerprint)
