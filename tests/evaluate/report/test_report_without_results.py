"""The report of a run that gathered pairs, trained or not, and measured nothing."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from own_images import image_bytes
from report_read import STAGE_FACTS, Page, manifest

from openalign.evaluate.report import page as report_page
from openalign.evaluate.report.gallery import Selected, images_of
from openalign.files.names import METRICS_FILE
from openalign.files.schemas import TRAINING
from openalign.files.shards import Sample, ShardReader, write_shard
from openalign.files.tables import read_table, write_table
from openalign.train import journal

FUNNEL = {
    "harvest": manifest("harvest", {"kept": 5, "duplicate": 1}),
    "select": manifest("select", {"kept": 4, "near_duplicate": 1}),
}


def selected_in(folder: Path, num_images: int, **changes: Any) -> Selected:
    """Write a shard and pairs of its images, two a image."""
    samples = [
        Sample(key=f"{number:032x}", members={"jpg": image_bytes(number % 40)})
        for number in range(num_images)
    ]
    write_shard(str(folder), "shard-0.tar", samples)
    index = read_table(f"{folder}/shard-0.index.parquet").to_pylist()
    rows = [
        {
            "shard": "shard-0.tar",
            "offset": place["offset"],
            "length": place["length"],
            "alt_text": f"text {number} of image {image}",
            "key": f"{2 * image + number:032x}",
            "image": image,
            "xxh3": place["xxh3"],
        }
        | changes
        for image, place in enumerate(index)
        for number in range(2)
    ]
    write_table(str(folder), "pairs-0.parquet", pa.Table.from_pylist([], schema=TRAINING))
    write_table(str(folder), "pairs-1.parquet", pa.Table.from_pylist(rows, schema=TRAINING))
    pairs = [f"{folder}/pairs-{number}.parquet" for number in range(2)]
    return Selected(pairs=pairs, shards=str(folder), places={})


def written(folder: Path, **more: Any) -> tuple[Page, str]:
    report_page.write(
        manifests=FUNNEL,
        folders={name: str(folder / name) for name in FUNNEL},
        stages=STAGE_FACTS,
        output=str(folder / "report"),
        title="pairs",
        credits=[],
        **more,
    )
    html, markdown = ((folder / "report" / f"report.{e}").read_text() for e in ("html", "md"))
    return Page(html), markdown


def test_it_shows_what_became_of_the_data_and_some_of_what_was_selected(tmp_path: Path) -> None:
    page, markdown = written(tmp_path, selected=selected_in(tmp_path, 3), num_pairs=6)

    assert not page.open  # every tag is closed
    assert "trained on 6 pairs" in page.text
    assert "Nothing was measured: the pipeline names no task" in page.text
    assert "harvest: 6 rows came in, 5 went on" in page.text
    assert [image["alt"] for image in page.named("img")] == [
        f"text 0 of image {image}" for image in range(3)
    ]
    anchors = {str(link["href"])[1:] for link in page.named("a") if "href" in link}
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {"selected", "data", "training", "settings"} <= anchors <= ids
    assert "Nothing was measured" in markdown
    assert "| harvest | duplicate | 1 | 5 |" in markdown


def test_it_shows_how_training_went(tmp_path: Path) -> None:
    rows = [{"step": step, journal.LOSS: 9.0 - step} for step in range(5)]
    (tmp_path / METRICS_FILE).write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    page, _ = written(tmp_path, trained=str(tmp_path))

    assert "First 9, last 5." in page.text
    assert not page.named("img")


def test_the_gallery_has_the_first_text_of_each_of_the_first_images(tmp_path: Path) -> None:
    found = images_of(selected_in(tmp_path, 30))

    assert [image.alt_text for image in found] == [f"text 0 of image {n}" for n in range(24)]
    assert all(image.src.startswith("data:image/webp;base64,") for image in found)


@pytest.mark.parametrize("changes", [{"shard": "gone.tar"}, {"length": 9}])
def test_images_that_cannot_be_read_any_more_are_passed_over(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    assert images_of(selected_in(tmp_path, 2, **changes)) == []


def test_no_pairs_give_no_gallery(tmp_path: Path) -> None:
    assert images_of(selected_in(tmp_path, 0)) == []


def test_the_shard_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[ShardReader] = []
    close = ShardReader.close
    monkeypatch.setattr(ShardReader, "close", lambda self: (closed.append(self), close(self)))
    images_of(selected_in(tmp_path, 1))
    assert len(closed) == 1
