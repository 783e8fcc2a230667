"""How the toy source is read; imported when it is."""

# [reading]
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from openalign.engines.batches import Paths
from openalign.files import storage
from openalign.files.states import FoundIn, HarvestState
from openalign.ingest.candidates import FOUND, Harvested, candidate_row, to_batch
from openalign.ingest.web.urls import canonical_url


@dataclass
class ReadLines(beam.PTransform[Any, Any]):
    """Read the file on one of the workers."""

    path: str

    def expand(self, input_or_inputs: Any) -> PCollection[Harvested]:
        """Apply the read."""
        read: Any = beam.FlatMap(read_lines)
        return input_or_inputs | Paths([self.path]) | "Read" >> read


def read_lines(path: str) -> Iterator[Harvested]:
    """Yield the candidates of a file. Every line is counted, and ends in one state."""
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for line in storage.read_text(path).splitlines():
        raw_url, _, text = line.partition(" ")
        url = canonical_url(raw_url)
        counts[FOUND] += 1
        if not text:
            counts[HarvestState.NO_ALT_TEXT] += 1
        elif url is None:
            counts[HarvestState.BAD_URL] += 1
        else:
            row = candidate_row(
                image_url=url, alt_text=text, found_in=FoundIn.TABLE, raw_image_url=raw_url
            )
            rows.append(row)
    yield Harvested(candidates=to_batch(rows), counts=counts, origin=path.rpartition("/")[2])


# [/reading]
