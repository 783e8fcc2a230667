"""The hash of what a data set holds, as the stage asks for it."""

import tempfile
from typing import Any

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.plan import PlannedBenchmark, content_of


def identity_of(kind: DatasetKind[Any], settings: Any) -> str:
    """Return the hash of all that is read of a data set, with nothing cached."""
    planned = PlannedBenchmark(dataset=kind.read(settings), missing=(), with_captions=True)
    with tempfile.TemporaryDirectory() as cache:
        return content_of(planned, cache=f"{cache}/hashes.json")
