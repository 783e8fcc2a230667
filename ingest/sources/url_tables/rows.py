"""What every format hands over: columns of a table, and the number of rows that it cannot read."""

from dataclasses import dataclass

import pyarrow as pa

from openalign.errors import InputError


class DamagedTableError(InputError):
    """A file cannot be read, or not further. It costs itself alone, and the run names it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A piece of a file."""

    batch: pa.RecordBatch
    """The columns that were asked for, of the types that the format gives them."""

    num_bad: int = 0
    """Rows that could not be told apart into cells, beside those of the batch."""
