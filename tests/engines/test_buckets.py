"""The cut by bucket against a slow one, row by row, and what is held for it."""

import random
from collections.abc import Sequence
from functools import partial

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from openalign.engines import arrow_bytes, buckets
from openalign.engines.arrow_bytes import ArrowCoder, from_ipc, to_ipc
from openalign.engines.buckets import CutByBucket, cut, hash_buckets
from openalign.engines.runners import run_job
from openalign.files.hashing import hash64

SCHEMA = pa.schema(
    [("key", pa.string()), ("text", pa.large_string()), ("size", pa.int64()), ("flag", pa.bool_())]
)
Piece = tuple[int, list[dict[str, object]]]


def rows_of(seed: int, num_rows: int) -> list[dict[str, object]]:
    rng = random.Random(seed)
    return [
        {
            "key": f"{number:05d}",
            "text": rng.choice([None, "", "x" * rng.randrange(200), "\u00e4\u00f6"]),
            "size": rng.choice([None, number]),
            "flag": number % 2 == 0,
        }
        for number in range(num_rows)
    ]


def bytes_of(row: dict[str, object]) -> int:
    """Return what a row takes: strings with offsets of four bytes, a number, a flag."""
    texts = (str(row[name] or "") for name in ("key", "text"))
    return sum(len(text.encode()) + 4 for text in texts) + 8 + 1


def cut_slowly(rows: Sequence[dict[str, object]], of: Sequence[int], most: int) -> list[Piece]:
    """Return the pieces that `cut` yields, one row after the other."""
    pieces: list[Piece] = []
    num_bytes = 0
    for bucket in sorted(set(of)):
        for row in (row for row, own in zip(rows, of, strict=True) if own == bucket):
            num_bytes += bytes_of(row)
            if not pieces or pieces[-1][0] != bucket or num_bytes > most:
                pieces.append((bucket, []))
                num_bytes = bytes_of(row)
            pieces[-1][1].append(row)
    return pieces


@pytest.mark.parametrize("most", [1, 250, 1000, 1 << 20])
@pytest.mark.parametrize("num_buckets", [1, 3, 64, 4096])
def test_pieces_are_those_of_a_slow_cut(
    monkeypatch: pytest.MonkeyPatch, num_buckets: int, most: int
) -> None:
    rows = rows_of(num_buckets, 300)
    of = [random.Random(n).randrange(num_buckets) for n in range(300)]
    batch = pa.RecordBatch.from_pylist([{}, *rows, {}], schema=SCHEMA).slice(1, 300)
    monkeypatch.setattr(arrow_bytes, "SHUFFLE_BYTES", most)

    pieces = [(b, from_ipc(piece).to_pylist()) for b, piece in cut(batch, np.array(of))]

    assert pieces == cut_slowly(rows, of, most)


def test_no_rows_are_no_pieces() -> None:
    assert list(cut(pa.RecordBatch.from_pylist([], schema=SCHEMA), np.zeros(0, np.int64))) == []


def test_the_bucket_of_a_row_is_the_hash_of_a_column() -> None:
    batch = pa.RecordBatch.from_pylist(rows_of(0, 100), schema=SCHEMA)

    found = hash_buckets(batch, by="key", num_buckets=7)

    assert found.tolist() == [hash64(f"{number:05d}") % 7 for number in range(100)]


@pytest.mark.parametrize(
    ("held_bytes", "num_pieces"),
    [
        # A batch is 10 rows of 8 bytes of key; the last flush is that of the bundle's end.
        pytest.param(1, 8 * 2, id="each batch by itself"),
        pytest.param(1 << 20, 2, id="all batches together"),
    ],
)
def test_batches_are_held_for_larger_pieces(
    monkeypatch: pytest.MonkeyPatch, held_bytes: int, num_pieces: int
) -> None:
    monkeypatch.setattr(buckets, "MAX_HELD_BYTES", held_bytes)
    keys = [{"key": str(number)} for number in range(80)]
    schema = pa.schema([("key", pa.string())])
    batches = [
        pa.RecordBatch.from_pylist(keys[n : n + 10], schema=schema) for n in range(0, 80, 10)
    ]

    def build(pipeline: beam.Pipeline) -> None:
        one = pipeline | beam.Create([batches], reshuffle=False)
        pieces = (
            one
            | beam.FlatMap(lambda held: held).with_output_types(pa.RecordBatch)
            | CutByBucket(2, partial(hash_buckets, by="key", num_buckets=2))
        )
        read = pieces | beam.Map(lambda piece: (piece[0], from_ipc(piece[1])["key"].to_pylist()))
        found = read | beam.FlatMap(lambda piece: [(key, piece[0]) for key in piece[1]])
        expected = [(row["key"], hash64(row["key"]) % 2) for row in keys]
        assert_that(found, equal_to(expected), label="rows")
        count = pieces | beam.combiners.Count.Globally()
        assert_that(count, equal_to([num_pieces]), label="pieces")

    run_job(build, [])


def test_a_slice_is_encoded_without_its_parent() -> None:
    batch = pa.RecordBatch.from_pydict({"text": ["x" * 1000] * 1000})

    encoded = to_ipc(batch.slice(10, 2))

    assert len(encoded) < 5_000
    assert from_ipc(encoded).equals(batch.slice(10, 2))
    assert ArrowCoder().decode(ArrowCoder().encode(batch)).equals(batch)


def test_a_batch_is_not_encoded_to_tell_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beam asks for it at each edge, of many elements."""
    whole = pa.RecordBatch.from_pydict({"number": pa.array(range(1000), pa.int64())})
    monkeypatch.setattr(arrow_bytes, "to_ipc", None)

    assert ArrowCoder().get_impl().estimate_size(whole.slice(10, 5)) == 40
