from pathlib import Path

import fsspec
import google_crc32c
import pytest
from tfds_files import example, record

from openalign.errors import InputError
from openalign.evaluate.datasets.reading.tfrecords import (
    Example,
    masked_crc32c,
    read_examples,
)

WANTED = ("image", "objects/location", "label", "none")


def write(path: Path, *contents: bytes) -> str:
    path.write_bytes(b"".join(record(content) for content in contents))
    return str(path)


def test_what_protobuf_writes_is_read(tmp_path: Path) -> None:
    features = {
        "image": [b"\x89PNG one", b"another"],
        "image/file_name": [b"000001.png"],
        "objects/location": [1.5, -2.0, 3e-38, 1e38],
        "label": [0, 1, 127, 128, 300, 2**62, -1, -(2**63)],
    }
    url = write(tmp_path / "a.tfrecord", example(features))

    (found,) = read_examples(url, WANTED)

    assert found.places["image"].read() == b"\x89PNG one"
    assert found.places["image"].file == url
    assert found.integers == {"label": features["label"]}
    assert found.floats["objects/location"] == pytest.approx(features["objects/location"])
    assert list(found.places) == ["image"]  # what is not wanted is not kept


def test_lists_that_are_not_packed_are_read(tmp_path: Path) -> None:
    # Features { label: Int64List { value: 5 value: 300 } }, value by value, as proto2 writes them
    int64_list = bytes([0x08, 5, 0x08, 0xAC, 0x02])
    feature = bytes([0x1A, len(int64_list)]) + int64_list
    entry = bytes([0x0A, 5]) + b"label" + bytes([0x12, len(feature)]) + feature
    features = bytes([0x0A, len(entry)]) + entry
    url = write(tmp_path / "a.tfrecord", bytes([0x0A, len(features)]) + features)

    assert [found.integers for found in read_examples(url, WANTED)] == [{"label": [5, 300]}]


def test_an_empty_sequence_has_no_values(tmp_path: Path) -> None:
    url = write(tmp_path / "a.tfrecord", example({"label": []}))

    (found,) = read_examples(url, WANTED)

    assert found == Example(integers={"label": []})


def test_a_range_of_records_is_read(tmp_path: Path) -> None:
    url = write(tmp_path / "a.tfrecord", *(example({"label": [n]}) for n in range(5)))

    def labels(first: int, stop: int | None) -> list[int]:
        found = read_examples(url, WANTED, first=first, stop=stop)
        return [each.integers["label"][0] for each in found]

    assert labels(0, None) == [0, 1, 2, 3, 4]
    assert labels(1, 3) == [1, 2]
    assert labels(4, 9) == [4]
    assert labels(5, None) == []


def test_a_file_on_an_object_store_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.tfrecord", example({"image": [b"pixels"]}))
    store = fsspec.filesystem("memory")
    store.pipe("/records/a.tfrecord", (tmp_path / "a.tfrecord").read_bytes())

    (found,) = read_examples("memory://records/a.tfrecord", WANTED)

    assert found.places["image"].read() == b"pixels"


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    assert list(read_examples(write(tmp_path / "a.tfrecord"), WANTED)) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(record(example({"label": [1]}))[:-1], "begins at byte 0", id="cut off"),
        pytest.param(
            record(example({"label": [1]})) + b"more", r"begins at byte \d\d", id="more after it"
        ),
        pytest.param(b"{'not': 'records'}" * 9, "no whole record begins at byte 0", id="JSON"),
        pytest.param(record(b"\x0b"), "record 0 is no tf.train.Example: wire type 3", id="group"),
        pytest.param(record(b"\x0a\x7f"), "record 0 .* a field ends beyond", id="too long"),
        pytest.param(record(b"\x0a" + b"\xff" * 12), "more than 64 bits", id="no integer"),
    ],
)
def test_damage_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.tfrecord").write_bytes(content)

    with pytest.raises(InputError, match=message):
        list(read_examples(str(tmp_path / "a.tfrecord"), WANTED))


def test_a_length_that_was_changed_is_found_by_its_checksum(tmp_path: Path) -> None:
    content = bytearray(record(example({"label": [1]})) * 2)
    content[0] -= 1
    (tmp_path / "a.tfrecord").write_bytes(content)

    with pytest.raises(InputError, match="no whole record begins at byte 0"):
        list(read_examples(str(tmp_path / "a.tfrecord"), WANTED))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: there is no such file"):
        list(read_examples(str(tmp_path / "a.tfrecord"), WANTED))


def test_an_image_that_ends_too_early_is_told(tmp_path: Path) -> None:
    url = write(tmp_path / "a.tfrecord", example({"image": [b"pixels"]}))
    (found,) = read_examples(url, WANTED)
    whole = (tmp_path / "a.tfrecord").read_bytes()
    (tmp_path / "a.tfrecord").write_bytes(whole[: found.places["image"].offset + 3])

    with pytest.raises(InputError, match="within an image"):
        found.places["image"].read()


def test_the_checksum_is_googles(tmp_path: Path) -> None:
    for content in (b"", b"123456789", bytes(range(256))):
        crc = google_crc32c.value(content)
        turned = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
        assert masked_crc32c(content) == (turned + 0xA282EAD8) % 2**32
    assert google_crc32c.value(b"123456789") == 0xE3069283  # the published check value
