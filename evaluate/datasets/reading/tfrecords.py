"""TFRecord files of `tf.train.Example`, in which TFDS keeps its data sets, without TensorFlow.

A record is its length (8 bytes, little-endian), a checksum of these bytes (masked CRC-32C), the
content, and a checksum of the content. The content is a protocol buffer that maps names to lists of
bytes, of floats or of integers. The checksum of a content is not computed: in Python that takes
longer than all else, and an image's own decoder finds damage.
"""

import mmap
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from openalign.errors import InputError
from openalign.evaluate.datasets.reading.slices import FileSlice
from openalign.files import storage

_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4
_MASK_DELTA = 0xA282EAD8

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


@dataclass(slots=True)
class Example:
    """Some features of a record, each by its name."""

    places: dict[str, FileSlice] = field(default_factory=dict[str, FileSlice])
    """Where the first value of a list of bytes lies."""

    floats: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    integers: dict[str, list[int]] = field(default_factory=dict[str, list[int]])


def read_examples(
    url: str, wanted: Collection[str], *, first: int = 0, stop: int | None = None
) -> Iterator[Example]:
    """Yield the records of a file from `first` to before `stop`, with the features that are wanted.

    Raises:
        InputError: the file is not there, is none of records, or ends before its last record.
    """
    with storage.local_copy(url) as path:
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise InputError(f"{url} cannot be read: there is no such file") from error
        with file:
            if file.seek(0, 2) == 0:
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                for number, (start, end) in enumerate(_records(url, content)):
                    if stop is not None and number >= stop:
                        return
                    if number < first:
                        continue
                    try:
                        yield _example(url, content, start, end, wanted)
                    except (IndexError, ValueError, struct.error) as error:
                        raise InputError(
                            f"{url}: record {number} is no tf.train.Example: {error}"
                        ) from error


def _records(url: str, content: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield where each record's content begins and ends."""
    at, size = 0, len(content)
    while at < size:
        header = content[at : at + _HEADER.size]
        if len(header) == _HEADER.size:
            length, checksum = _HEADER.unpack(header)
            start = at + _HEADER.size
            if checksum == masked_crc32c(header[:8]) and start + length + _FOOTER_BYTES <= size:
                yield start, start + length
                at = start + length + _FOOTER_BYTES
                continue
        raise InputError(
            f"{url}: no whole record begins at byte {at}",
            hint="the file is cut off or damaged, or is no TFRecord file",
        )


def _example(
    url: str, content: mmap.mmap, start: int, end: int, wanted: Collection[str]
) -> Example:
    example = Example()
    for features in _lists(content, start, end):
        for entry in _lists(content, *features):
            parts = {number: value for number, _, value in _fields(content, *entry)}
            name = content[slice(*parts[1])].decode()
            if name in wanted and 2 in parts:
                _add(example, url, content, name, parts[2])
    return example


def _add(
    example: Example, url: str, content: mmap.mmap, name: str, feature: tuple[int, int]
) -> None:
    """Add a feature, which holds one of three lists; its values are field 1 of the list."""
    for kind, _, values in _fields(content, *feature):
        if kind == _BYTES_LIST:
            for start, end in _lists(content, *values):
                example.places.setdefault(name, FileSlice(url, start, end - start))
        elif kind == _FLOAT_LIST:
            floats = example.floats.setdefault(name, [])
            for _, _, (start, end) in _fields(content, *values):  # packed or not: the same bytes
                floats += struct.unpack(f"<{(end - start) // 4}f", content[start:end])
        elif kind == _INT64_LIST:
            integers = example.integers.setdefault(name, [])
            for _, _, (at, end) in _fields(content, *values):
                integers += _integers(content, at, end)


def _integers(content: mmap.mmap, at: int, end: int) -> Iterator[int]:
    """Yield integers of 64 bits with a sign, packed one after another."""
    while at < end:
        value, at = _varint(content, at)
        yield value - (1 << 64) if value >> 63 else value


def _lists(content: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the place of each value of field 1, which is what messages here nest with."""
    for number, wire_type, place in _fields(content, start, end):
        if number == 1 and wire_type == _BYTES:
            yield place


def _fields(content: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Yield number, wire type and place of each field of a message."""
    while at < end:
        key, at = _varint(content, at)
        wire_type = key & 7
        if wire_type == _BYTES:
            length, at = _varint(content, at)
        elif wire_type == _VARINT:
            length = _varint(content, at)[1] - at
        elif wire_type == _FIXED32:
            length = 4
        elif wire_type == _FIXED64:
            length = 8
        else:
            raise ValueError(f"wire type {wire_type} at byte {at}")
        if at + length > end:
            raise ValueError(f"a field ends beyond its message at byte {at}")
        yield key >> 3, wire_type, (at, at + length)
        at += length


def _varint(content: mmap.mmap, at: int) -> tuple[int, int]:
    """Return an integer, and where the next byte lies."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"an integer of more than 64 bits at byte {at}")


def masked_crc32c(content: bytes) -> int:
    """Return the checksum of a TFRecord: CRC-32C (Castagnoli), turned and shifted."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _crc_table() -> tuple[int, ...]:
    entries: list[int] = []
    for entry in range(256):
        for _ in range(8):
            entry = (entry >> 1) ^ (0x82F63B78 if entry & 1 else 0)  # noqa: PLW2901
        entries.append(entry)
    return tuple(entries)


_CRC_TABLE = _crc_table()
