"""Read image URLs and captions from Parquet, CSV or TSV files, wherever fsspec reaches."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection

from openalign.engines.batches import BATCH_ROWS, Paths
from openalign.errors import InputError
from openalign.files import storage
from openalign.files.states import FoundIn, HarvestState
from openalign.ingest.candidates import FOUND, Harvested, candidate_row, to_batch
from openalign.ingest.sources.table import TableSource
from openalign.ingest.web.urls import canonical_url
from openalign.ingest.webpage.texts import collapse

_TEXT = (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary())
_BLOCK_BYTES = 16 << 20

BadRow = Callable[[Any], str]


@dataclass
class ReadPairs(beam.PTransform[Any, Any]):
    """Read all files of a table, spread over the workers."""

    urls: Sequence[str]
    source: TableSource

    def expand(self, pipeline: beam.Pipeline) -> PCollection[Harvested]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the read."""
        read: Any = beam.FlatMap(read_candidates, source=self.source)
        return pipeline | Paths(self.urls) | "Read" >> read


def read_candidates(url: str, *, source: TableSource) -> Iterator[Harvested]:
    """Yield the candidates of one file, in its order, batch by batch."""
    num_bad_rows = 0

    def skip(row: Any) -> str:
        nonlocal num_bad_rows
        del row
        num_bad_rows += 1
        return "skip"

    for batch in _batches(url, source, skip):
        yield _harvest(batch, source)
    if num_bad_rows:  # a line with too few or too many cells has no URL that could be trusted
        counts = Counter({FOUND: num_bad_rows, HarvestState.BAD_URL.value: num_bad_rows})
        yield Harvested(candidates=to_batch([]), counts=counts)


def _harvest(batch: pa.RecordBatch, source: TableSource) -> Harvested:
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter({FOUND: batch.num_rows})
    addresses = _texts(batch.column(source.url_column))
    captions = _texts(batch.column(source.caption_column))
    for raw, caption in zip(addresses, captions, strict=True):
        text = collapse(caption)
        raw_url = raw.strip()
        image_url = canonical_url(raw_url)
        if not text:
            counts[HarvestState.NO_ALT_TEXT.value] += 1
        elif raw_url[:5].lower() == "data:":
            counts[HarvestState.DATA_URL.value] += 1
        elif image_url is None:
            counts[HarvestState.BAD_URL.value] += 1
        else:
            rows.append(
                candidate_row(
                    image_url=image_url,
                    alt_text=text,
                    found_in=FoundIn.TABLE.value,
                    raw_image_url=raw_url,
                )
            )
    return Harvested(candidates=to_batch(rows), counts=counts)


def _texts(column: pa.Array) -> list[str]:
    return [
        value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value or ""
        for value in column.to_pylist()
    ]


# Formats ------------------------------------------------------------------------------------------


def check_file(url: str, source: TableSource) -> None:
    """Check that a file can be read and has both columns.

    Raises:
        InputError: names the file, what is missing and what was found instead.
    """
    try:
        schema = _schema(url, source)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{url} cannot be read as {_format(url)}: {error}",
            hint="its ending says which format it has: .parquet, .csv or .tsv, also with .gz",
        ) from error
    for setting in ("url_column", "caption_column"):
        name = getattr(source, setting)
        if name not in schema.names:
            raise InputError(
                f"{url} has no column `{name}`; it has {', '.join(schema.names)}",
                hint=f"name it with `harvest.source.{setting}`, or all with `header`",
            )
        if schema.field(name).type not in _TEXT:
            raise InputError(
                f"{url}: column `{name}` holds {schema.field(name).type}, but must hold text",
                hint=f"name another one with `harvest.source.{setting}`",
            )


def _schema(url: str, source: TableSource) -> pa.Schema:
    with storage.open_read(url) as file:
        if _format(url) == "parquet":
            return pq.ParquetFile(file).schema_arrow
        # Two blocks and a byte: Arrow looks into the second one, and sees that the file goes on.
        head = pa.BufferOutputStream()
        head.write(_decompressed(url, file).read(2 * _BLOCK_BYTES + 1))
    # From Arrow's own memory: its read-ahead thread can outlive this call.
    stream = pa.BufferReader(head.getvalue())
    return _open_csv(url, stream, source, skip=lambda _: "skip", columns=None).schema


def _batches(url: str, source: TableSource, skip: BadRow) -> Iterator[pa.RecordBatch]:
    columns = [source.url_column, source.caption_column]
    if _format(url) == "parquet":
        with storage.open_read(url) as file:
            yield from pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=columns)
        return
    with _open_native(url) as file:
        yield from _open_csv(url, _decompressed(url, file), source, skip=skip, columns=columns)


def _open_native(url: str) -> Any:
    """Open a file for Arrow, a local one without Python.

    Arrow's read-ahead thread goes on when a reader is left early. Where it runs Python code, the
    process can abort at its exit, or wait for the thread without an end. Arrow closes a local file
    when the thread has ended.
    """
    if storage.is_local(url):
        return nullcontext(pa.OSFile(str(storage.local_path(url)), mode="rb"))
    return storage.open_read(url)


def _decompressed(url: str, file: Any) -> Any:
    return pa.CompressedInputStream(file, "gzip") if url.endswith(".gz") else file


def _open_csv(
    url: str, stream: Any, source: TableSource, *, skip: BadRow, columns: Sequence[str] | None
) -> Any:
    """Open a csv for the columns that are named; None stands for all."""
    is_tsv = _format(url) == "tsv"
    names: Sequence[str] = (source.url_column, source.caption_column)
    return pa_csv.open_csv(
        stream,
        read_options=pa_csv.ReadOptions(
            use_threads=False, block_size=_BLOCK_BYTES, column_names=list(source.header) or None
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter="\t" if is_tsv else ",",
            # Quotation marks have no meaning in a TSV.
            quote_char=False if is_tsv else '"',
            newlines_in_values=not is_tsv,
            invalid_row_handler=skip,
        ),
        # As bytes: one cell that is not UTF-8 must not cost the block.
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()), include_columns=columns
        ),
    )


def _format(url: str) -> str:
    name = url.lower().removesuffix(".gz")
    return next((kind for kind in ("csv", "tsv") if name.endswith(f".{kind}")), "parquet")
