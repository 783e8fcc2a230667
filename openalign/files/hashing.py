"""The one pinned hash: xxh3 with a fixed seed, as bytes, as strings and as a polars expression.

Keys, buckets and n-grams outlive a process and cross engines, so the function and its seed are
part of the file formats. polars' own `hash` is not stable across versions and is never used.
"""

import numpy as np
import polars as pl
import polars_hash as plh
import pyarrow as pa
import xxhash

SEED = 0
"""Part of every key and bucket ever written: changing it changes all schema versions."""

_KEY_DIGITS = 32


def hash64(text: str) -> int:
    """Return the 64-bit hash of a string's UTF-8 bytes; equal to `hash64_expr` row by row."""
    return xxhash.xxh3_64_intdigest(text.encode(), seed=SEED)


def content_hash(content: bytes) -> int:
    """Return the 64-bit hash of a file's bytes."""
    return xxhash.xxh3_64_intdigest(content, seed=SEED)


def hash64_expr(column: str | pl.Expr) -> pl.Expr:
    """Return a UInt64 expression that hashes a string column; null stays null."""
    expr = pl.col(column) if isinstance(column, str) else column
    return plh.concat_str(expr).nchash.xxh3_64(seed=SEED)


def candidate_key(image_url: str, alt_text: str) -> str:
    """Return the key of a candidate: 32 hex digits over canonical URL, NUL and alt-text."""
    return xxhash.xxh3_128_hexdigest(f"{image_url}\0{alt_text}".encode(), seed=SEED)


def candidate_keys(image_urls: pl.Series, alt_texts: pl.Series) -> pl.Series:
    """Return what `candidate_key` does for each row of columns without nulls."""
    text = pl.concat_str(pl.lit(image_urls), pl.lit("\0"), pl.lit(alt_texts))
    hashes = pl.select(hash=plh.concat_str(text).nchash.xxh3_128(seed=SEED))
    high, low = pl.col("hash") // 2**64, pl.col("hash") % 2**64
    halves = hashes.select(high=high.cast(pl.UInt64), low=low.cast(pl.UInt64))
    digits = halves.to_numpy(order="c").astype(">u8").tobytes().hex()
    ends = np.arange(0, len(digits) + 1, _KEY_DIGITS)
    keys = pa.LargeStringArray.from_buffers(
        halves.height, pa.py_buffer(ends), pa.py_buffer(digits.encode())
    )
    return pl.Series(keys, dtype=pl.String)


def image_key(image_url: str) -> str:
    """Return the key of an image: 32 hex digits over its canonical URL."""
    return xxhash.xxh3_128_hexdigest(image_url.encode(), seed=SEED)
