"""What stages read from outside the run: the fingerprints of its content, by name.

Where an input lies is no part of a result's identity; what it holds is.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from openalign.files import storage
from openalign.run.config import PipelineConfig

if TYPE_CHECKING:
    import pyarrow as pa


def held_out_pictures(config: PipelineConfig) -> "pa.Table":
    """Return the fingerprints of every benchmark picture that must stay out of training."""
    import pyarrow as pa

    from openalign.evaluate.datasets import karpathy
    from openalign.files.schemas import FINGERPRINT
    from openalign.images.stored import fingerprint

    rows: list[dict[str, Any]] = []
    for held_out in config.select.held_out:
        for image in karpathy.read(held_out.path, held_out.splits, images=held_out.images):
            sha256, phash = fingerprint(storage.read_bytes(image.url))
            rows.append(
                {"name": image.name, "split": image.split, "sha256": sha256, "phash": phash}
            )
    return pa.Table.from_pylist(rows, schema=FINGERPRINT)


def of_select(config: PipelineConfig) -> dict[str, str]:
    """Return the content of the held-out benchmarks."""
    return {
        f"held_out[{number}]": _benchmark(held_out.path, held_out.images)
        for number, held_out in enumerate(config.select.held_out)
    }


def of_evaluate(config: PipelineConfig) -> dict[str, str]:
    """Return the content of the benchmarks and of the composed queries."""
    found = {
        f"datasets[{number}]": _benchmark(dataset.path, dataset.images)
        for number, dataset in enumerate(config.evaluate.datasets)
    }
    for number, queries in enumerate(config.evaluate.composed):
        found[f"composed[{number}]"] = _content([queries.path])
    return found


def _content(urls: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for url in urls:
        digest.update(storage.sha256_of(url).encode())
    return digest.hexdigest()


def _benchmark(path: str, images: str) -> str:
    """Return the fingerprint of a benchmark: its JSON and the content of each picture."""
    from openalign.evaluate.datasets import karpathy

    return _content([path, *(image.url for image in karpathy.read(path, (), images=images))])
