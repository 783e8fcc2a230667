"""Images that lie somewhere already, with what lies beside them, as candidates."""

import codecs
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, cast

import msgspec
import polars as pl

from openalign.files.locators import Locator, url_of_bytes
from openalign.files.states import FoundIn, HarvestState
from openalign.ingest.candidates import (
    FOUND,
    LANGUAGE_LABEL,
    Harvested,
    candidate_row,
    to_batch,
)
from openalign.ingest.sources.lenient_json import decode
from openalign.ingest.sources.own_settings import OwnImageSettings
from openalign.ingest.sources.table_conditions import Condition, holds
from openalign.ingest.sources.url_tables.json_columns import comparable
from openalign.ingest.web.urls import canonical_url
from openalign.ingest.webpage.texts import collapse
from openalign.lines import lines_of

IMAGE_ENDINGS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
"""Endings of images, in any case. Of several images of a sample in a tar, the first here counts."""

TEXT_ENDING, RECORD_ENDING = "txt", "json"

MAX_TEXT_BYTES = 1 << 20
"""A longer text or JSON object is neither a caption nor a record."""

SAMPLES_AT_ONCE = 4096

_COMPARED = (str, int, float, Decimal, date, time, timedelta)

_ENCODER = msgspec.json.Encoder(order="sorted")
_OBJECT = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSample:
    """An image with what lies beside it."""

    locator: Locator
    sha256: str
    """Of the image's bytes, in hex."""

    texts: Sequence[str]
    """As they are found."""

    found_in: FoundIn
    record: Mapping[str, Any]
    """What a JSON object or a table says about the image."""


class BesideError(Exception):
    """A text or JSON object that lies beside an image cannot be read."""


def decode_text(content: bytes) -> str:
    """Return the text of a file that lies beside an image: UTF-8, UTF-16 or UTF-32.

    Raises:
        BesideError: it is none of them, or too long; only UTF-8 is known without its mark.
    """
    if len(content) > MAX_TEXT_BYTES:
        raise BesideError
    encoding = "utf-8-sig"
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        encoding = "utf-32"
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BesideError from error


def decode_record(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a file that lies beside an image.

    Raises:
        BesideError: it is none, or too long.
    """
    try:
        return decode(decode_text(content), _OBJECT)
    except msgspec.DecodeError as error:
        raise BesideError from error


def texts_of(
    text: str | None, record: Mapping[str, Any], settings: OwnImageSettings
) -> tuple[FoundIn, list[str]]:
    """Return an image's texts and where they come from: the text file, or else the record."""
    if text is not None and text.strip():
        return FoundIn.TXT, lines_of(text) if settings.caption_per_line else [text]
    return FoundIn.JSON, captions_in(record, settings)


def captions_in(record: Mapping[str, Any], settings: OwnImageSettings) -> list[str]:
    """Return the texts that a record has; none where it holds something else, or blanks."""
    value = record.get(settings.caption_column)
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text.strip()]


def harvested(
    samples: Sequence[OwnSample],
    settings: OwnImageSettings,
    ended: Counter[HarvestState],
    *,
    origin: str = "",
) -> Harvested:
    """Return samples as a piece of a harvest; `ended` has what ended without becoming a sample.

    An image with several texts is as many pairs, one without is a pair without a text.
    """
    meets = meets_all([sample.record for sample in samples], settings.conditions)
    counts: Counter[str] = Counter({state.value: number for state, number in ended.items()})
    counts[HarvestState.LEFT_OUT] += len(samples) - int(meets.sum())
    rows: list[dict[str, Any]] = []
    for sample, is_wanted in zip(samples, meets, strict=True):
        if not is_wanted:
            continue
        texts = [text for text in map(collapse, sample.texts) if text]
        if not texts:
            counts[HarvestState.NO_ALT_TEXT] += 1
        rows += _rows(sample, texts, settings)
    counts[FOUND] = counts.total() + len(rows)
    return Harvested(candidates=to_batch(rows), counts=+counts, origin=origin)


def _rows(
    sample: OwnSample, texts: Sequence[str], settings: OwnImageSettings
) -> list[dict[str, Any]]:
    image_url, raw_image_url = _urls(sample, settings)
    label = re.match(LANGUAGE_LABEL, _said(sample.record, settings.language_column).lower())
    carried = None
    if settings.carry_columns:
        values = {name: sample.record.get(name) for name in settings.carry_columns}
        carried = _ENCODER.encode(values).decode()
    return [
        candidate_row(
            image_url=image_url,
            alt_text=text,
            found_in=sample.found_in,
            raw_image_url=raw_image_url,
            page_language=label[1] if label else None,
            expected_sha256=sample.sha256,
            carried=carried,
            locator=str(sample.locator),
        )
        for text in texts
    ]


def _urls(sample: OwnSample, settings: OwnImageSettings) -> tuple[str, str]:
    """Return an image's URL and how it was written: the one it came with, or that of its bytes."""
    raw = _said(sample.record, settings.url_column)
    url = canonical_url(f"https:{raw}" if raw.startswith("//") else raw)
    if url is None:
        url = raw = url_of_bytes(sample.sha256)
    return url, raw


def _said(record: Mapping[str, Any], column: str) -> str:
    value = record.get(column) if column else None
    return value.strip() if isinstance(value, str) else ""


def meets_all(records: Sequence[Mapping[str, Any]], conditions: Sequence[Condition]) -> pl.Series:
    """Return, record by record, whether it meets every condition. Lists and objects meet none."""
    meets = pl.repeat(value=True, n=len(records), dtype=pl.Boolean, eager=True)
    for condition in conditions:
        found = [record.get(condition.column) for record in records]
        single = [value if isinstance(value, _COMPARED) else None for value in found]
        meets &= holds(condition, pl.Series(comparable(single)))
    return meets
