"""Data sets as TFDS prepares them, written with protobuf's own classes."""

import json
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Values = Sequence[bytes] | Sequence[float] | Sequence[int]


def record(content: bytes) -> bytes:
    """Return a TFRecord."""
    length = struct.pack("<Q", len(content))
    return length + _masked(length) + content + _masked(content)


def _masked(content: bytes) -> bytes:
    crc = google_crc32c.value(content)
    turned = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    return struct.pack("<I", (turned + 0xA282EAD8) & 0xFFFFFFFF)


def example(features: Mapping[str, Values]) -> bytes:
    """Return a serialized `tf.train.Example`."""
    message: Any = _example_class()()
    for name, values in features.items():
        feature = message.features.feature[name]
        first = values[0] if values else 0
        kind = "bytes" if isinstance(first, bytes) else "float" if isinstance(first, float) else ""
        getattr(feature, f"{kind or 'int64'}_list").value.extend(values)
        getattr(feature, f"{kind or 'int64'}_list").SetInParent()
    return message.SerializeToString(deterministic=True)


def write_builder(
    root: Path,
    builder: str,
    version: str,
    splits: Mapping[str, Sequence[Sequence[Mapping[str, Values]]]],
    info: Mapping[str, Any] | None = None,
) -> Path:
    """Write a prepared data set: each split is a list of shards, each shard a list of examples.

    `info` replaces entries of dataset_info.json.
    """
    folder = root / builder / version
    folder.mkdir(parents=True)
    name = builder.partition("/")[0]
    listed: list[dict[str, Any]] = []
    for split, shards in splits.items():
        for number, shard in enumerate(shards):
            file = f"{name}-{split}.tfrecord-{number:05d}-of-{len(shards):05d}"
            (folder / file).write_bytes(b"".join(record(example(each)) for each in shard))
        lengths = [str(len(shard)) for shard in shards]
        listed.append(
            {
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "name": split,
                "numBytes": "0",
                "shardLengths": lengths,
            }
        )
    content = {"name": name, "version": version, "fileFormat": "tfrecord", "splits": listed}
    (folder / "dataset_info.json").write_text(json.dumps(content | dict(info or {})))
    (folder / "features.json").write_text("{}")
    return folder


@cache
def _example_class() -> Any:
    """Return the class of `tf.train.Example`, made of its definition."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    lists = {"BytesList": field.TYPE_BYTES, "FloatList": field.TYPE_FLOAT}
    lists["Int64List"] = field.TYPE_INT64
    for name, type_ in lists.items():
        message = file.message_type.add(name=name)
        message.field.add(name="value", number=1, type=type_, label=field.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(lists, start=1):
        feature.field.add(
            name=f"{name.removesuffix('List').lower()}_list",
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=f".t.{name}",
            label=field.LABEL_OPTIONAL,
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(
        name="value",
        number=2,
        type=field.TYPE_MESSAGE,
        type_name=".t.Feature",
        label=field.LABEL_OPTIONAL,
    )
    features.field.add(
        name="feature",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".t.Features.FeatureEntry",
        label=field.LABEL_REPEATED,
    )
    whole = file.message_type.add(name="Example")
    whole.field.add(
        name="features",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".t.Features",
        label=field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))
