"""Captions in Karpathy's JSON as candidates, and as the training pairs of a fine-tuning."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from own_images import image_bytes, ni, rows_of, run_verb, states_of, write_pipeline

from openalign.errors import InputError
from openalign.ingest.sources.karpathy import KarpathySource, check, own_images
from openalign.ingest.sources.kinds import fingerprints
from openalign.ingest.sources.own_images import karpathy_reading as reading
from openalign.ingest.web.config import WebConfig

SPLITS = ["train", "restval", "val", "test", "train"]


def write(folder: Path) -> Path:
    """Write five images with two captions each, the third of which lies in a folder of its own."""
    images: list[dict[str, Any]] = []
    for number, split in enumerate(SPLITS):
        filepath = "val2014" if number == 2 else ""
        path = folder / "images" / filepath / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(number))
        images.append(
            {
                "filename": f"{number}.jpg",
                **({"filepath": filepath} if filepath else {}),
                "split": split,
                "sentences": [
                    {"raw": f"Bar {number}.", "tokens": ["bar"]},
                    {"raw": f"a  red bar, number {number}"},
                ],
            }
        )
    (folder / "dataset.json").write_text(json.dumps({"dataset": "bars", "images": images}))
    return folder


def source_of(folder: Path, *splits: str) -> KarpathySource:
    return KarpathySource(
        path=str(folder / "dataset.json"), images=str(folder / "images"), splits=splits
    )


def test_every_caption_of_the_splits_is_a_pair_and_the_rest_is_counted(tmp_path: Path) -> None:
    source = source_of(write(tmp_path), "train", "val")

    pieces = list(reading.read_part("0", source=source))

    rows = rows_of(pieces)
    assert {(row["alt_text"], row["locator"].partition("#")[0]) for row in rows} == {
        ("Bar 0.", "0.jpg"),
        ("a red bar, number 0", "0.jpg"),
        ("Bar 2.", "val2014/2.jpg"),
        ("a red bar, number 2", "val2014/2.jpg"),
        ("Bar 4.", "4.jpg"),
        ("a red bar, number 4", "4.jpg"),
    }
    assert len(rows) == 6
    assert rows[0]["image_url"] == ni(image_bytes(0))
    assert states_of(pieces) == {"left_out": 2, "found": 8}


def test_an_image_that_is_not_there_is_counted(tmp_path: Path) -> None:
    source = source_of(write(tmp_path), "train")
    (tmp_path / "images" / "4.jpg").unlink()

    counted = states_of(list(reading.read_part("0", source=source)))

    assert counted == {"left_out": 3, "not_there": 1, "found": 6}


def test_half_of_a_surrogate_pair_costs_itself_alone(tmp_path: Path) -> None:
    path = write(tmp_path) / "dataset.json"
    path.write_text(path.read_text().replace("Bar 1.", "Bar \\ud83d."))

    rows = rows_of(list(reading.read_part("0", source=source_of(tmp_path, "restval"))))

    assert {row["alt_text"] for row in rows} == {"Bar \ufffd.", "a red bar, number 1"}


def test_a_part_begins_where_the_one_before_it_ends(tmp_path: Path) -> None:
    source = source_of(write(tmp_path), *set(SPLITS))

    rest = rows_of(list(reading.read_part("3", source=source)))

    assert sorted(row["alt_text"] for row in rest) == [
        "Bar 3.",
        "Bar 4.",
        "a red bar, number 3",
        "a red bar, number 4",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ('{"images": [{"filename": "a.jpg"}]}', "missing required field `split`"),
        (
            '{"images": [{"filename": "a.jpg", "split": "test", "sentences": []}]}',
            r"has no image in the split `train`; it has test \(1\)",
        ),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "dataset.json").write_text(content)

    with pytest.raises(InputError, match=said):
        check(source_of(tmp_path, "train"))


def test_the_fingerprint_is_of_the_file_and_the_images_that_are_taken(tmp_path: Path) -> None:
    source = source_of(write(tmp_path / "a"), "train")
    cache = str(tmp_path / "hashes.json")
    before = fingerprints(source, WebConfig(), cache=cache)

    (tmp_path / "a" / "images" / "3.jpg").write_bytes(b"of the split test")
    assert fingerprints(source, WebConfig(), cache=cache) == before
    (tmp_path / "a").rename(tmp_path / "b")
    assert fingerprints(source_of(tmp_path / "b", "train"), WebConfig(), cache=cache) == before
    (tmp_path / "b" / "images" / "4.jpg").write_bytes(b"another image")
    assert fingerprints(source_of(tmp_path / "b", "train"), WebConfig(), cache=cache) != before


def test_images_lie_beside_the_file_unless_a_folder_is_named() -> None:
    assert own_images(KarpathySource(path="data/d.json")).folder == "data"
    assert own_images(KarpathySource(path="data/d.json", images="pictures/")).folder == "pictures"


def test_training_pairs_are_those_of_the_splits_without_copies_of_test_images(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path / "bars")
    # A training image that is a test image, too.
    (folder / "images" / "4.jpg").write_bytes(image_bytes(3))
    paths = {"path": str(folder / "dataset.json"), "images": str(folder / "images")}
    pipelines = write_pipeline(
        tmp_path, {"kind": "karpathy", "splits": ["train", "restval"], **paths}
    )
    words = [
        "benchmarks={bars: " + json.dumps({"kind": "karpathy", **paths}) + "}",
        "select.held_out=[{benchmark: bars, splits: [test]}]",
        "select.near_duplicates.method=exact",
        "filter.text={languages: [], min_unigrams: 1, frequent: {kind: min_count, at_least: 1}}",
        "select.image={short_side_above_px: 0, aspect_ratio_below: 1000.0}",
    ]
    given = [word for override in words for word in ("--set", override)]

    for verb in ("harvest", "filter", "fetch", "select"):
        assert run_verb(verb, pipelines, *given) == 0

    pairs = pl.read_parquet(tmp_path / "run" / "selected" / "training-*.parquet")
    assert sorted(pairs["alt_text"]) == [
        "Bar 0.",
        "Bar 1.",
        "a red bar, number 0",
        "a red bar, number 1",
    ]
