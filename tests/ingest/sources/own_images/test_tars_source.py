"""Tars of images and texts as candidates: what is a sample, and how each one ends."""

import io
import json
import math
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from own_images import image_bytes, ni, read_tars, write_img2dataset, write_tar, write_three_samples

from openalign.errors import InputError, StageError
from openalign.files.hashing import candidate_key
from openalign.files.locators import Locator
from openalign.ingest.sources.own_images.tars_reading import read_tar
from openalign.ingest.sources.tars import TarsSource

JPEGS = [image_bytes(number) for number in range(4)]


def read_members(folder: Path, *members: tuple[str, bytes], **changes: Any) -> Any:
    write_tar(folder / "a.tar", members)
    return read_tars(folder / "a.tar", **changes)


def texts(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["alt_text"], row["found_in"]) for row in rows]


# What a candidate is ------------------------------------------------------------------------------


def test_a_sample_is_a_candidate_that_says_where_its_image_lies(tmp_path: Path) -> None:
    rows, states = read_members(tmp_path, ("k.jpg", JPEGS[0]), ("k.txt", b" a  cat\n"))

    url = ni(JPEGS[0])
    [row] = rows
    assert row == {
        "key": candidate_key(url, "a cat"),
        "image_url": url,
        "alt_text": "a cat",
        "page_url": None,
        "found_in": "txt",
        "raw_image_url": url,
        "archive": None,
        "archive_offset": None,
        "page_language": None,
        "expected_sha256": row["expected_sha256"],
        "carried": None,
        "locator": f"a.tar#512+{len(JPEGS[0])}",
        "address_from": None,
        "text_language": None,
    }
    lies = Locator.parse(row["locator"])
    content = (tmp_path / "a.tar").read_bytes()[lies.offset : lies.offset + lies.length]
    assert content == JPEGS[0]
    assert states == {"found": 1}


def test_an_image_is_called_by_the_bytes_as_rfc_6920_says() -> None:
    # The example of section 8.1 of the RFC: the hash of the text "Hello World!".
    assert ni(b"Hello World!") == "ni:///sha-256;f4OxZX_x_FO5LcGBSKHWXfwtSx-j1ncoSt3SABJtkGk"


def test_img2dataset_s_tars_keep_the_addresses_that_images_came_with(tmp_path: Path) -> None:
    write_img2dataset(tmp_path, 3, [1, 2])

    rows, states = read_tars(
        tmp_path, language_column="LANGUAGE", carry_columns=("similarity", "original_width")
    )

    assert [row["image_url"] for row in rows] == [
        "http://pictures.example/1.jpg",
        "http://pictures.example/2.jpg",
    ]
    assert [row["page_language"] for row in rows] == ["en", "de"]
    assert [json.loads(row["carried"]) for row in rows] == [
        {"original_width": 440, "similarity": 0.26},
        {"original_width": 440, "similarity": 0.27},
    ]
    assert states == {"found": 2}


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        pytest.param("similarity >= 0.27", [2, 3], id="number on the bound"),
        pytest.param("similarity > 0.27", [3], id="number above the bound"),
        pytest.param("LANGUAGE in en", [1, 3], id="word"),
        pytest.param("nobody == knows", [], id="a key that is not there"),
    ],
)
def test_conditions_choose_samples(tmp_path: Path, where: str, kept: list[int]) -> None:
    write_img2dataset(tmp_path, 0, [1, 2, 3])

    rows, states = read_tars(tmp_path, where=(where,))

    assert [row["alt_text"] for row in rows] == [f"a red bar number {n}" for n in kept]
    assert states.get("left_out", 0) == 3 - len(kept)
    assert states["found"] == 3


def test_what_the_parquet_file_beside_says_counts_where_the_sample_says_nothing(
    tmp_path: Path,
) -> None:
    write_img2dataset(tmp_path, 0, [1, 2])
    own = json.dumps({"caption": "its own", "url": "http://own.example/2.jpg"}).encode()
    members = [
        ("000000001.jpg", JPEGS[1]),
        ("000000002.jpg", JPEGS[2]),
        ("000000002.json", own),
        ("000000003.jpg", JPEGS[3]),
    ]
    members.insert(1, ("000000001.json", b'{"caption": " "}'))
    write_tar(tmp_path / "00000.tar", members)

    rows, states = read_tars(tmp_path, carry_columns=("similarity",))

    assert [(row["image_url"], row["alt_text"], row["found_in"]) for row in rows] == [
        ("http://pictures.example/1.jpg", "a red bar number 1", "table"),
        ("http://own.example/2.jpg", "its own", "json"),
    ]
    assert rows[1]["carried"] == '{"similarity":0.27}'
    assert states == {"no_alt_text": 1, "found": 3}


@pytest.mark.parametrize(
    "url", ["", "not an address", "file:///a.jpg", "http://user:word@a.example/1.jpg", 7, None]
)
def test_an_image_whose_address_is_none_is_called_by_its_bytes(tmp_path: Path, url: object) -> None:
    record = json.dumps({"url": url, "caption": "a cat"}).encode()

    [row], _ = read_members(tmp_path, ("k.jpg", JPEGS[0]), ("k.json", record))

    assert row["image_url"] == row["raw_image_url"] == ni(JPEGS[0])


# Texts --------------------------------------------------------------------------------------------


def test_the_text_file_counts_before_the_json_object(tmp_path: Path) -> None:
    record = b'{"caption": "of the object"}'
    rows, _ = read_members(
        tmp_path,
        *[("a.jpg", JPEGS[0]), ("a.txt", b"of the file"), ("a.json", record)],
        *[("b.jpg", JPEGS[1]), ("b.txt", b" \n"), ("b.json", record)],
    )

    assert texts(rows) == [("of the file", "txt"), ("of the object", "json")]


def test_lines_are_captions_only_if_the_settings_say_so(tmp_path: Path) -> None:
    lines = "one\u2028more\n\ntwo\r\n".encode()  # U+2028 ends no line
    members = [("a.jpg", JPEGS[0]), ("a.txt", lines)]

    assert texts(read_members(tmp_path, *members)[0]) == [("one more two", "txt")]
    assert texts(read_members(tmp_path, *members, caption_per_line=True)[0]) == [
        ("one more", "txt"),
        ("two", "txt"),
    ]


def test_a_list_of_captions_is_as_many_pairs(tmp_path: Path) -> None:
    record = b'{"texts": ["one", "", 3, "two"]}'

    rows, states = read_members(
        tmp_path, ("a.jpg", JPEGS[0]), ("a.json", record), caption_column="texts"
    )

    assert texts(rows) == [("one", "json"), ("two", "json")]
    assert states == {"found": 2}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.txt", b"caf\xe9", id="Latin-1"),
        pytest.param("a.json", b"{", id="no JSON"),
        pytest.param("a.json", b'["a cat"]', id="a list"),
        pytest.param("a.json", b"[" * 100_000, id="deep"),
        pytest.param("a.txt", b"x" * (1 << 20) + b"x", id="a text longer than a megabyte"),
    ],
)
def test_a_text_that_cannot_be_read_costs_its_own_sample(
    tmp_path: Path, name: str, content: bytes
) -> None:
    rows, states = read_members(
        tmp_path,
        *[("a.jpg", JPEGS[0]), (name, content)],
        *[("b.jpg", JPEGS[1]), ("b.txt", b"\xef\xbb\xbfmarked")],
        *[("c.jpg", JPEGS[2]), ("c.txt", "größe".encode("utf-16"))],
        *[("d.jpg", JPEGS[3]), ("d.txt", "länge".encode("utf-32"))],
    )

    assert texts(rows) == [("größe", "txt"), ("länge", "txt"), ("marked", "txt")]
    assert states == {"bad_text": 1, "found": 4}


def test_an_object_may_hold_what_python_writes_beside_json(tmp_path: Path) -> None:
    of_nan = json.dumps({"caption": "a cat", "pwatermark": math.nan}).encode()
    of_half = json.dumps({"caption": "a \ud83d cat"}).encode()

    rows, states = read_members(
        tmp_path,
        *[("a.jpg", JPEGS[0]), ("a.txt", b"of the file"), ("a.json", of_nan)],
        *[("b.jpg", JPEGS[1]), ("b.json", of_half)],
        carry_columns=("pwatermark",),
    )

    assert texts(rows) == [("a \ufffd cat", "json"), ("of the file", "txt")]
    assert rows[1]["carried"] == '{"pwatermark":null}'
    assert states == {"found": 2}


# Which members are a sample -----------------------------------------------------------------------


def test_every_sample_ends_in_one_state(tmp_path: Path) -> None:
    rows, states = read_members(
        tmp_path,
        *[("kept.jpg", JPEGS[0]), ("kept.cls", b"3"), ("kept.txt", b"kept")],
        ("no_text.jpg", JPEGS[1]),
        ("no_image.txt", b"alone"),
        *[("blank.jpg", JPEGS[1]), ("blank.txt", b" \t\n")],
        *[("torn.jpg", JPEGS[2]), ("between.jpg", JPEGS[3]), ("torn.txt", b"torn")],
        *[("label.cls", b"3"), ("._kept.jpg", b"Mac OS X"), ("__meta__/x.txt", b"webdataset's")],
        *[("folder/", b""), ("plain", b"no ending")],
    )

    assert texts(rows) == [("kept", "txt")]
    assert states == {"no_alt_text": 4, "no_image": 1, "scattered": 1, "found": 7}


def test_a_key_that_comes_again_is_not_taken_again(tmp_path: Path) -> None:
    """As in a tar that was appended to: webdataset would stop at the second image."""
    rows, states = read_members(
        tmp_path,
        *[("a.jpg", JPEGS[0]), ("a.txt", b"first")],
        *[("a.jpg", JPEGS[1]), ("a.txt", b"second")],
    )

    assert texts(rows) == [("first", "txt")]
    assert rows[0]["image_url"] == ni(JPEGS[0])
    assert states == {"scattered": 1, "found": 2}


def test_keys_are_divided_as_the_library_webdataset_divides_them(tmp_path: Path) -> None:
    """The library is the oracle: the same images with the same texts, in the same order."""
    names = ["a", "./b", "deep/er/c", "dots.in/folder/d", "UPPER", "with space", "größe"]
    members = [
        member
        for number, name in enumerate(names)
        for member in [
            (f"{name}.JPG" if name == "UPPER" else f"{name}.jpg", image_bytes(number)),
            (f"{name}.seg.png", b"a mask"),
            (f"{name}.txt", f"text {number}".encode()),
        ]
    ]
    write_tar(tmp_path / "a.tar", members)
    with (tmp_path / "a.tar").open("rb") as file:
        source = [{"url": "a.tar", "stream": file}]
        library = webdataset.tariterators.group_by_keys(
            webdataset.tariterators.tar_file_expander(source)
        )
        theirs = [(sample["jpg"], sample["txt"].decode()) for sample in library]

    rows, states = read_tars(tmp_path / "a.tar")

    content = (tmp_path / "a.tar").read_bytes()
    lie = [(Locator.parse(row["locator"]), row["alt_text"]) for row in rows]
    ours = [(content[at.offset : at.offset + at.length], text) for at, text in sorted(lie)]
    assert ours == theirs
    assert len(ours) == states["found"] == len(names)


def test_names_with_dots_and_no_plain_image_are_divided_at_the_last_dot(tmp_path: Path) -> None:
    rows, states = read_members(
        tmp_path,
        *[("photo.v1.jpg", JPEGS[0]), ("photo.v1.txt", b"first")],
        *[("photo.v2.png", JPEGS[1]), ("photo.v2.json", b'{"caption": "second"}')],
        ("photo.v3.txt", b"alone"),
    )

    assert texts(rows) == [("first", "txt"), ("second", "json")]
    assert [row["image_url"] for row in rows] == [ni(JPEGS[0]), ni(JPEGS[1])]
    assert states == {"no_image": 1, "found": 3}


def test_long_names_and_links_do_not_shift_what_is_read(tmp_path: Path) -> None:
    """PAX and GNU headers take blocks of their own; a link has no content."""
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = tmp_path / f"{form}.tar"
        with tarfile.open(path, "w", format=form) as tar:
            link = tarfile.TarInfo("link.jpg")
            link.type, link.linkname = tarfile.SYMTYPE, "other.jpg"
            tar.addfile(link)
            for name, content in [("n" * 200 + ".jpg", JPEGS[0]), ("n" * 200 + ".txt", b"long")]:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))

        [row], states = read_tars(path)

        lies = Locator.parse(row["locator"])
        assert path.read_bytes()[lies.offset : lies.offset + lies.length] == JPEGS[0]
        assert (row["alt_text"], states) == ("long", {"found": 1})


# Damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        pytest.param(lambda tar, third: tar[: third + 600], [0, 1], id="cut off in an image"),
        # Whether the sample before it would go on behind the damage cannot be known.
        pytest.param(
            lambda tar, third: tar[:third] + b"\xff" * 512 + tar[third + 512 :],
            [0],
            id="a header overwritten",
        ),
    ],
)
def test_of_a_damaged_tar_what_lies_before_the_damage_is_read(
    tmp_path: Path, damage: Callable[[bytes, int], bytes], left: list[int]
) -> None:
    whole = write_three_samples(tmp_path / "b.tar")
    write_three_samples(tmp_path / "a.tar")
    (tmp_path / "b.tar").write_bytes(damage(whole, whole.index(b"2.jpg")))

    rows, states = read_tars(tmp_path)

    found = {(row["locator"].partition("#")[0], row["alt_text"]) for row in rows}
    assert found == {("a.tar", f"{n} is it") for n in range(3)} | {
        ("b.tar", f"{n} is it") for n in left
    }
    assert states == {"found": 3 + len(left)}


def test_a_disk_that_fails_is_no_damage_of_the_tar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_three_samples(tmp_path / "a.tar")

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(tarfile.TarFile, "next", fail)
    source = TarsSource(path=str(tmp_path / "a.tar"))
    with pytest.raises(StageError, match=r"a\.tar cannot be read: Input/output error"):
        list(read_tar("a.tar", source=source))


def test_a_file_beside_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_three_samples(tmp_path / "a.tar")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")

    with pytest.raises(InputError, match=r"a\.parquet cannot be read as parquet"):
        read_tars(tmp_path)


def test_a_file_beside_may_hold_nanoseconds_and_texts_that_are_not_utf8(tmp_path: Path) -> None:
    write_three_samples(tmp_path / "a.tar")
    columns = {
        "key": ["0", "2"],
        "taken": pa.array([2001, 1], pa.timestamp("ns")),
        "place": pa.array([b"caf\xe9", b"bar"]).view(pa.string()),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")

    rows, _ = read_tars(tmp_path, carry_columns=("taken", "place"))

    assert [row["carried"] for row in rows] == [
        '{"place":"caf\ufffd","taken":"1970-01-01T00:00:00.000002"}',
        '{"place":null,"taken":null}',
        '{"place":"bar","taken":"1970-01-01T00:00:00"}',
    ]


def test_records_of_several_kinds_are_compared_one_by_one(tmp_path: Path) -> None:
    values: list[object] = [1, 1.0, "one", [1], None]
    members = [
        member
        for number, value in enumerate(values)
        for member in (
            (f"{number}.jpg", JPEGS[0]),
            (f"{number}.json", json.dumps({"caption": str(number), "n": value}).encode()),
        )
    ]
    write_tar(tmp_path / "a.tar", members)

    for condition, expected in (("n == 1.0", "01"), ("n != 2", "01"), ("n < 1", "")):
        rows, _ = read_tars(tmp_path / "a.tar", where=(condition,))
        assert "".join(row["alt_text"] for row in rows) == expected
