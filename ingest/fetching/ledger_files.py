"""The files that a ledger belongs to: it names them by their sha256 in its Parquet metadata."""

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from openalign.engines.parts import files_of
from openalign.errors import StageError
from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.files.manifest import DataFile

_FILES = b"openalign_files"
_NAMED_FILES = msgspec.json.Decoder(list[DataFile])


def naming(ledger: pa.Table, files: Sequence[DataFile]) -> pa.Table:
    """Return a ledger that says in its metadata which files it belongs to."""
    named = canonical_json(list(files)).encode()
    return ledger.replace_schema_metadata({**(ledger.schema.metadata or {}), _FILES: named})


def named_by(ledger: pa.Table) -> list[DataFile] | None:
    """Return the files that a ledger belongs to; None if it names none."""
    named = (ledger.schema.metadata or {}).get(_FILES)
    return None if named is None else _NAMED_FILES.decode(named)


def is_there(folder: str, file: DataFile) -> bool:
    """Tell whether a file is there, with the bytes that were written."""
    url = storage.join(folder, file.name)
    return (
        storage.exists(url)
        and storage.size_of(url) == file.num_bytes
        and storage.sha256_of(url) == file.sha256
    )


def check_part(line: str, *, output: str) -> str:
    """Return a Part of `FetchBucket` if the files that it names exist.

    Many workers call it after all images are fetched. It reads every byte again: sizes cannot tell
    one attempt's tar from another's, because tars are padded to whole records.

    Raises:
        StageError: a file was overwritten. The next run fetches that shard again.
    """
    for file in files_of(line):
        if not is_there(output, file):
            raise StageError(
                f"{storage.join(output, file.name)} was written over by a second attempt",
                hint="the same command fetches this shard again; on Spark, see that "
                "spark.speculation is off",
            )
    return line
