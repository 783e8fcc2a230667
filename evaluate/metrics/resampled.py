"""Metrics with their values in the resamples, and `resamples.parquet`, which keeps those values.

Two models that are measured alike on the same queries have paired resamples: the same seed has
drawn the same groups. So their difference in each resample is that of two stored values.

The file has a row a metric. A metric whose interval is not of resamples has none.

Shape suffixes:
    R  resamples
"""

# ruff: noqa: N803, N815  # capitals are shape suffixes

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from openalign.evaluate.metrics.bootstrap import Floats, interval_ends
from openalign.evaluate.results import Metric, made_anew
from openalign.files.manifest import DataFile
from openalign.files.names import RESAMPLES_FILE
from openalign.files.tables import read_whole, write_table

_RESAMPLED = pa.schema([("name", pa.string()), ("values", pa.list_(pa.float64()))])


_NO_VALUES: Floats = np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resampled:
    """A metric, and its values in the resamples that its interval is of."""

    metric: Metric

    value_R: Floats = field(default_factory=lambda: _NO_VALUES)
    """Empty where the interval is not of resamples."""

    def __eq__(self, other: object) -> bool:
        """Compare value by value, which arrays do not do by themselves."""
        return (
            isinstance(other, Resampled)
            and self.metric == other.metric
            and np.array_equal(self.value_R, other.value_R)
        )

    def __hash__(self) -> int:
        """Return a hash that is the same for equal records."""
        return hash(self.metric)


def resampled_metric(
    name: str,
    value: float,
    value_R: Floats,
    *,
    confidence: float,
    n: int,
    chance: float,
    ties_at_random: float | None = None,
    higher_is_better: bool = True,
) -> Resampled:
    """Return a metric whose interval is that of its values in the resamples."""
    low, high = interval_ends(value_R, confidence)
    metric = Metric(
        name=name,
        value=value,
        low=low,
        high=high,
        n=n,
        chance=chance,
        ties_at_random=ties_at_random,
        higher_is_better=higher_is_better,
    )
    return Resampled(metric=metric, value_R=value_R)


def values_by_name(metrics: Iterable[Resampled]) -> dict[str, Floats]:
    """Return the values in the resamples of each metric that has some."""
    return {each.metric.name: each.value_R for each in metrics if len(each.value_R)}


def write_resamples(output: str, metrics: Iterable[Resampled]) -> DataFile:
    """Write `resamples.parquet`."""
    values = values_by_name(metrics)
    rows = {"name": list(values), "values": [value_R.tolist() for value_R in values.values()]}
    return write_table(output, RESAMPLES_FILE, pa.table(rows, schema=_RESAMPLED))


def read_resamples(url: str) -> dict[str, Floats]:
    """Return the values in the resamples of each metric, by its name.

    Raises:
        InputError: it is not a file of resamples.
    """
    table = read_whole(url, _RESAMPLED, what="a file of resamples", hint=made_anew(url))
    return {
        name: values.values.to_numpy(zero_copy_only=False)
        for name, values in zip(table["name"].to_pylist(), table["values"], strict=True)
    }
