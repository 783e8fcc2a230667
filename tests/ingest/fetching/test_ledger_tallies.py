"""What a fetch tells people: exact counts from its ledgers, whatever order they are read in."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from faulty_web import SITE, Reply, Web, serve
from fetches import OTHER, PNG, bytes_of, config_of, image, image_file, ledger_of, row, rows_of, run

from openalign.engines import tallies
from openalign.files.facts import FetchFacts, FetchTallies, HostImages, SizeRange
from openalign.files.hashing import image_key
from openalign.files.manifest import StageResult
from openalign.files.schemas import LEDGER
from openalign.ingest.fetching import ledger_tallies
from openalign.ingest.fetching.ledger_tallies import (
    NUM_EXAMPLES,
    NUM_IMAGES,
    NUM_TOP_HOSTS,
    tally_ledger,
)

HOST = SITE.removeprefix("http://")


@pytest.fixture
def web() -> Iterator[Web]:
    routes: dict[str, Reply] = {f"/{n}.png": image(n) for n in range(20)}
    routes |= {f"/{n}.png": Reply(status=503) for n in range(15, 20)}
    wide = image(30, (300, 100))
    with serve({**routes, "/wide.png": wide, "/html": Reply(body=b"<p>", headers=PNG)}) as running:
        yield running


def tallied(result: StageResult) -> FetchTallies:
    assert isinstance(result.facts, FetchFacts)
    return result.facts.tallies


def test_hosts_statuses_and_sizes_are_counted_by_image(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE], 20)  # every third image under three texts
    rows += [row(f"{OTHER}/{name}", "cat") for name in ("wide.png", "gone.png", "html")]

    found = tallied(run(config_of(web), rows, tmp_path / "out"))

    small = sum(len(image_file(n)) for n in range(15))
    wide = len(image_file(30, (300, 100)))
    site = HostImages(host=HOST, images=20, fetched=15, num_bytes=small)
    other = HostImages(host="other.example", images=3, fetched=1, num_bytes=wide)
    assert found.hosts_by_images == [site, other]
    assert found.hosts_by_losses == [site, other]  # 5 and 2
    assert found.num_hosts == 2
    assert found.statuses == {"200": 17, "404": 1, "503": 5}
    assert found.sizes == {
        "short_side": [SizeRange(at_least=32, images=15), SizeRange(at_least=100, images=1)],
        "width": [SizeRange(at_least=32, images=15), SizeRange(at_least=256, images=1)],
        "height": [SizeRange(at_least=32, images=15), SizeRange(at_least=100, images=1)],
        "num_bytes": [SizeRange(at_least=0, images=16)],
    }


def test_samples_are_the_smallest_keys_of_each_state(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE], 20)

    found = tallied(run(config_of(web), rows, tmp_path / "out")).samples

    ledger = ledger_of(tmp_path / "out")
    lost = sorted((f"{SITE}/{n}.png" for n in range(15, 20)), key=image_key)
    stored = sorted((f"{SITE}/{n}.png" for n in range(15)), key=image_key)
    assert [each.image_url for each in found] == [*stored, *lost[:NUM_EXAMPLES]]
    assert [each.detail for each in found[15:]] == ["HTTP 503"] * NUM_EXAMPLES
    # Of several texts it is the first by key.
    texts = {r["image_url"]: r["alt_text"] for r in ledger.sort("key", descending=True).to_dicts()}
    assert {each.image_url: each.alt_text for each in found}.items() <= texts.items()
    page = (tmp_path / "out" / "fetch.html").read_text()
    assert page.count("data:image/webp;base64,") == 15 < NUM_IMAGES


def test_a_fetch_cut_otherwise_and_read_in_pieces_tells_the_same(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of([SITE, OTHER], 20)
    first = run(config_of(web), rows, tmp_path / "first")
    monkeypatch.setattr(tallies, "MAX_HELD_ROWS", 3)  # so that rows are merged time and again

    run(config_of(web), rows, tmp_path / "again")
    other = run(config_of(web, images_per_shard=3, num_buckets=5), rows[::-1], tmp_path / "other")

    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "first")
    assert tallied(other).statuses == tallied(first).statuses
    assert tallied(other).hosts_by_images == tallied(first).hosts_by_images
    assert tallied(other).sizes == tallied(first).sizes
    [one, two] = [[s.image_url for s in tallied(r).samples] for r in (first, other)]
    assert one == two


def test_of_many_hosts_the_largest_and_the_worst_are_named(tmp_path: Path) -> None:
    # Host n has n images and loses n % 7 of them; the slow way is to count rows.
    images = [
        (f"http://h{host:03d}.example/{n}.png", "timeout" if n < host % 7 else "fetched")
        for host in range(1, 60)
        for n in range(host)
    ]
    ledger = ledger_with(images)

    counted = tally_ledger(ledger, index_file="")["hosts"]
    top = ledger_tallies.TALLIES["hosts"].top(counted)

    slow: Counter[str] = Counter(url.split("/")[2] for url, _ in images)
    lost: Counter[str] = Counter(url.split("/")[2] for url, state in images if state == "timeout")
    in_order = sorted(lost, key=lambda host: (-lost[host], host))
    largest = {host for host, _ in slow.most_common(NUM_TOP_HOSTS)}
    assert set(top["host"]) == largest | set(in_order[:NUM_TOP_HOSTS])
    assert dict(counted.select("host", "images").iter_rows()) == dict(slow)


@pytest.mark.parametrize(
    ("side_px", "at_least"),
    [
        pytest.param(31, 0, id="below the first"),
        pytest.param(32, 32, id="on a bound"),
        pytest.param(345, 256, id="below a bound"),
        pytest.param(346, 346, id="as the paper stores it"),
        pytest.param(60_000, 8192, id="above the last"),
    ],
)
def test_a_size_is_counted_where_its_range_begins(side_px: int, at_least: int) -> None:
    ledger = ledger_with([("http://a.example/1.png", "fetched")], width_px=side_px, height_px=9000)

    sizes = tally_ledger(ledger, index_file="")["sizes"]

    found = sizes.filter(kind="short_side" if side_px < 9000 else "width")
    assert found.to_dicts() == [{"kind": found["kind"][0], "at_least": at_least, "images": 1}]


def ledger_with(images: list[tuple[str, str]], **facts: Any) -> pl.DataFrame:
    """Return a ledger of images with one text each."""
    sizes = {"width_px": 60, "height_px": 40, "num_bytes": 100} | facts
    rows = [
        {**row(url, "cat"), "image_key": image_key(url), "state": state, **sizes}
        for url, state in images
    ]
    empty = pl.DataFrame(LEDGER.empty_table())
    return pl.DataFrame(rows, schema_overrides=dict(empty.schema), infer_schema_length=None).select(
        pl.col(name) if name in rows[0] else pl.lit(None, empty.schema[name]).alias(name)
        for name in empty.columns
    )


def test_images_on_no_web_have_no_host() -> None:
    ledger = ledger_with([("sha256:00", "fetched")])

    found = tally_ledger(ledger, index_file="shard-00000-00000.index.parquet")

    assert found["hosts"].height == 0
    assert found["samples"]["index_file"].to_list() == ["shard-00000-00000.index.parquet"]
