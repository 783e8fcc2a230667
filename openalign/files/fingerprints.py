"""Canonical JSON of a value, and the fingerprint that is its hash."""

import hashlib
import json
from typing import Any

import msgspec

SCHEMA_VERSION = 2
"""Raised whenever a column changes its name, type or meaning; part of every fingerprint."""

INDEX_VERSION = 1
"""Raised whenever `schemas.TRAINING_INDEX` changes; part of the fingerprint of `select` alone."""


def canonical_json(value: Any) -> str:
    """Return JSON with one spelling for one value: sorted keys, no spaces, UTF-8.

    Records (msgspec structs and dataclasses) are written as objects.
    """
    plain = msgspec.to_builtins(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint_of(value: Any) -> str:
    """Return the sha256, in hex, of a JSON-able value's canonical form."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
