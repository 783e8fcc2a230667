"""The fetch stage as a whole: shards, ledgers, counts, and every way an image can end."""

import gc
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import webdataset
from faulty_web import SITE, Reply, Web, serve
from fetches import (
    OTHER,
    PNG,
    THIRD,
    bytes_of,
    config_of,
    image,
    image_file,
    ledger_of,
    make_rule,
    row,
    rows_of,
    run,
)
from PIL import Image

from openalign.files.facts import FetchFacts
from openalign.files.hashing import hash64, image_key
from openalign.files.schemas import LEDGER
from openalign.files.shards import ShardReader
from openalign.files.states import FetchState
from openalign.files.tables import read_table
from openalign.images.hashes import fingerprint_image
from openalign.ingest.fetching.work_plan import NUM_CELLS


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({f"/{n}.png": image(n) for n in range(30)}) as running:
        yield running


# Shards and ledgers -------------------------------------------------------------------------------


def test_every_candidate_is_in_a_ledger_and_every_image_in_a_tar_once(
    web: Web, tmp_path: Path
) -> None:
    rows = rows_of([SITE, OTHER], 20)

    result = run(config_of(web), rows, tmp_path / "out")

    assert len(rows) == 2 * (20 + 2 * 7)
    assert result.num_inputs == result.num_outputs == 68
    assert {state: n for state, n in result.states.items() if n} == {"fetched": 68}
    assert isinstance(result.facts, FetchFacts)
    assert result.facts.images == {"fetched": 40}
    assert result.facts.num_bytes == 2 * sum(len(image_file(n)) for n in range(20))
    assert web.asked.total() == 42  # each image once, and two robots.txt
    assert sorted(f.name for f in result.files) == sorted(bytes_of(tmp_path / "out"))
    ledger = ledger_of(tmp_path / "out")
    assert ledger["key"].to_list() == sorted(r["key"] for r in rows)
    assert ledger["detail"].null_count() == 68


def test_a_ledger_row_says_what_is_known_of_the_image(web: Web, tmp_path: Path) -> None:
    web.routes["/big.png"] = image(5, (300, 500))

    run(config_of(web), [row(f"{SITE}/big.png", "a cat")], tmp_path / "out")

    [found] = ledger_of(tmp_path / "out").to_dicts()
    sha256, phash = fingerprint_image(image_file(5, (300, 500)))
    assert found == row(f"{SITE}/big.png", "a cat") | {
        "archive": None,
        "archive_offset": None,
        "expected_sha256": None,
        "carried": None,
        "locator": None,
        "address_from": None,
        "text_language": None,
        "image_key": image_key(f"{SITE}/big.png"),
        "state": "fetched",
        "detail": None,
        "http_status": 200,
        "content_type": "image/png",
        "width_px": 300,
        "height_px": 500,
        "num_bytes": len(image_file(5, (300, 500))),
        "sha256": sha256,
        "phash": phash,
        "shard": f"shard-{hash64('pictures.example') // 2 % NUM_CELLS % 3:05d}-00000.tar",
    }
    [path] = (tmp_path / "out").glob("ledger-*")
    schema = read_table(str(path)).schema
    assert schema.equals(LEDGER)
    assert schema.metadata.items() > LEDGER.metadata.items()


def test_an_image_must_have_a_hash_that_its_table_names(web: Web, tmp_path: Path) -> None:
    right, wrong = hashlib.sha256(image_file(1)).hexdigest(), "0" * 64
    expected = {
        "1": [right],
        "2": [wrong],
        "3": [wrong, hashlib.sha256(image_file(3)).hexdigest()],
        "4": [None],
        "5": [None, wrong],
    }
    rows = [
        row(f"{SITE}/{name}.png", f"text {n}") | {"expected_sha256": sha256}
        for name, hashes in expected.items()
        for n, sha256 in enumerate(hashes)
    ]

    result = run(config_of(web), rows, tmp_path / "out")

    ledger = ledger_of(tmp_path / "out").unique("image_url").sort("image_url")
    assert ledger["state"].to_list() == [
        *("fetched", "hash_mismatch", "fetched", "fetched", "hash_mismatch"),
    ]
    found = hashlib.sha256(image_file(2)).hexdigest()
    assert ledger["detail"].to_list()[1] == f"sha256 is {found}"
    assert ledger["shard"].is_null().to_list() == [False, True, False, False, True]
    assert result.num_inputs == 7 == sum(result.states.values())


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # it leaves files open
def test_the_tars_open_in_webdataset_with_all_texts_of_an_image(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE], 20)

    run(config_of(web), rows, tmp_path / "out")

    tars = sorted(str(path) for path in (tmp_path / "out").glob("*.tar"))
    assert len(tars) == 3  # 20 images of one host, 7 a shard
    open_tars: Any = webdataset.WebDataset(tars, shardshuffle=False, empty_check=False)  # pyright: ignore[reportAttributeAccessIssue]
    samples = list(open_tars)
    gc.collect()
    by_key = {sample["__key__"]: sample for sample in samples}
    assert len(by_key) == len(samples) == 20
    assert [s["__key__"] for s in samples] == sorted(by_key)
    sample = by_key[image_key(f"{SITE}/3.png")]
    texts = sorted(
        ({"key": r["key"], "alt_text": r["alt_text"]} for r in rows if "/3.png" in r["image_url"]),
        key=lambda entry: entry["key"],
    )
    assert len(texts) == 3
    assert sample["txt"].decode() == texts[0]["alt_text"]
    facts = json.loads(sample["json"])
    assert facts["alt_texts"] == texts
    assert facts["image_url"] == f"{SITE}/3.png"
    assert (facts["width_px"], facts["height_px"]) == (60, 40)
    assert facts["phash"] == fingerprint_image(image_file(3))[1]
    assert Image.open(io.BytesIO(sample["jpg"])).size == (30, 20)


@pytest.mark.parametrize(
    ("form", "ending", "stored"),
    [
        pytest.param({}, "jpg", ("JPEG", (30, 20)), id="as by default"),
        pytest.param({"format": "webp", "resize": "squash"}, "webp", ("WEBP", (20, 20)), id="WebP"),
        pytest.param({"format": "png", "resize": "none"}, "png", ("PNG", (60, 40)), id="PNG"),
        pytest.param({"keep_original": True}, "png", ("PNG", (60, 40)), id="the original"),
    ],
)
def test_the_index_leads_to_each_member(
    web: Web,
    tmp_path: Path,
    form: dict[str, Any],
    ending: str,
    stored: tuple[str, tuple[int, int]],
) -> None:
    run(config_of(web, **form), rows_of([SITE], 10), tmp_path / "out")

    ledger = ledger_of(tmp_path / "out").unique("image_key")
    reader = ShardReader(str(tmp_path / "out"))
    for found in ledger.iter_rows(named=True):
        index = read_table(str(tmp_path / "out" / found["shard"]).replace(".tar", ".index.parquet"))
        members = {
            entry["member"]: reader.read(found["shard"], entry["offset"], entry["length"])
            for entry in index.to_pylist()
            if entry["key"] == found["image_key"]
        }
        assert set(members) == {ending, "txt", "json"}
        image = Image.open(io.BytesIO(members[ending]))
        assert (image.format, image.size) == stored
        if "keep_original" in form:
            assert hashlib.sha256(members[ending]).hexdigest() == found["sha256"]
        assert json.loads(members["json"])["sha256"] == found["sha256"]
    reader.close()


def test_all_of_a_host_is_in_one_bucket(web: Web, tmp_path: Path) -> None:
    run(config_of(web, num_buckets=5), rows_of([SITE, OTHER, THIRD], 20), tmp_path / "out")

    ledger = ledger_of(tmp_path / "out").with_columns(
        host=pl.col("image_url").str.extract("http://([^/]+)/"),
        bucket=pl.col("shard").str.slice(6, 5).cast(pl.Int64),
    )
    buckets = ledger.group_by("host").agg(pl.col("bucket").unique())
    assert dict(buckets.iter_rows()) == {
        host: [hash64(host) // 2 % NUM_CELLS % 5]
        for host in ("pictures.example", "other.example", "third.example")
    }


# Every way to end ---------------------------------------------------------------------------------


def test_every_image_ends_in_its_state(web: Web, tmp_path: Path) -> None:
    endings: dict[str, tuple[Reply, str]] = {
        "/good": (image(1), "fetched"),
        "/gone": (Reply(status=410), "http_gone"),
        "/forbidden": (Reply(status=403), "http_client_error"),
        "/ill": (Reply(status=500), "http_server_error"),
        "/loop": (Reply(status=302, headers=[("Location", "/loop")]), "too_many_redirects"),
        "/nowhere": (Reply(status=302), "bad_url"),
        "/inside": (
            Reply(status=302, headers=[("Location", "http://192.168.0.1/x.png")]),
            "private_address",
        ),
        "/private/x": (image(2), "robots_denied"),
        "/withheld": (
            Reply(body=image_file(3), headers=[*PNG, ("X-Robots-Tag", "noimageai")]),
            "opted_out",
        ),
        "/hang-up": (Reply(hang_up=True), "connect_failure"),
        "/cut": (
            Reply(body=image_file(4), headers=PNG, length=len(image_file(4)) + 9),
            "truncated",
        ),
        "/late": (image(5, before_seconds=2.0), "timeout"),
        "/page": (Reply(body=b"<html>Not found, with status 200</html>"), "not_an_image"),
        "/empty": (Reply(headers=PNG), "not_an_image"),
        "/drawing": (Reply(body=b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "undecoded_format"),
        "/half": (Reply(body=image_file(6, (300, 300))[:150], headers=PNG), "decode_failure"),
        "/large": (image(7, (2000, 2000)), "too_large"),
        "/bomb": (image(8, (1100, 1000)), "too_many_pixels"),
        "/small": (image(9, (19, 50)), "short_side"),
        "/smallest": (image(10, (20, 50)), "fetched"),
        "/wide": (image(11, (90, 29)), "aspect_ratio"),
        "/widest": (image(12, (90, 30)), "fetched"),
    }
    web.routes |= {url: reply for url, (reply, _) in endings.items()}
    web.routes["/robots.txt"] = Reply(body=b"User-agent: *\nDisallow: /private/")
    limit = max(len(endings[url][0].body) for url in endings if url != "/large")
    rows = [row(SITE + url, text) for url in endings for text in ("a cat", "a dog")]
    rows += [row("http://no-such-host.invalid/x", "a cat"), row("https://other.example/x", "cat")]
    download = web.download(num_retries=0, first_byte_seconds=0.5, host_failures=100)
    config = config_of(web, web=download, max_bytes=limit, max_pixels=1_000_000)

    result = run(config, rows, tmp_path / "out", rule=make_rule())

    ledger = ledger_of(tmp_path / "out")
    states = {r["image_url"].removeprefix(SITE): r["state"] for r in ledger.to_dicts()}
    assert states == {url: state for url, (_, state) in endings.items()} | {
        "http://no-such-host.invalid/x": "dns_failure",
        "https://other.example/x": "tls_failure",
    }
    assert sum(result.states.values()) == result.num_inputs == len(rows)
    assert result.states["fetched"] == result.num_outputs == 6
    assert set(result.states) == {state.value for state in FetchState}
    failed = ledger.filter(pl.col("state") != "fetched")
    assert failed["detail"].null_count() == 0
    assert failed["shard"].null_count() == failed["sha256"].null_count() == failed.height


def test_an_image_of_an_unwanted_shape_is_left_before_its_body_is_here(
    web: Web, tmp_path: Path
) -> None:
    small = image_file(1, (10, 500))
    web.routes["/small.png"] = Reply(body=small, headers=PNG, length=len(small) + 9)
    rows = [row(f"{SITE}/small.png", "a cat")]

    judged = run(config_of(web), rows, tmp_path / "judged", rule=make_rule())
    whole = run(config_of(web), rows, tmp_path / "whole")

    # The body ends early, which only a fetch that waits for the end of it can find out.
    assert judged.states["short_side"] == 1
    assert whole.states["truncated"] == 1


def test_a_shape_that_only_the_whole_body_tells_is_judged_too(web: Web, tmp_path: Path) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (10, 500)).save(sink, "WEBP")
    body = sink.getvalue()
    web.routes["/small.webp"] = Reply(body=body, pause_at=len(body) * 2 // 3)

    result = run(
        config_of(web), [row(f"{SITE}/small.webp", "cat")], tmp_path / "out", rule=make_rule()
    )

    assert result.states["short_side"] == 1


def test_the_header_rule_sees_the_size_and_the_ledger_keeps_it(web: Web, tmp_path: Path) -> None:
    web.routes["/small.png"] = image(1, (10, 500))

    run(config_of(web), [row(f"{SITE}/small.png", "cat")], tmp_path / "out", rule=make_rule())

    [found] = ledger_of(tmp_path / "out").to_dicts()
    assert found["state"] == "short_side"
    assert (found["width_px"], found["height_px"]) == (10, 500)
    assert found["detail"] == "10 x 500 pixels"
    assert found["num_bytes"] is None


def test_without_a_header_rule_small_images_are_stored(web: Web, tmp_path: Path) -> None:
    web.routes["/small.png"] = image(1, (10, 500))

    result = run(config_of(web), [row(f"{SITE}/small.png", "cat")], tmp_path / "out")

    assert result.states["fetched"] == 1


def test_a_shard_without_an_image_is_a_ledger_alone(web: Web, tmp_path: Path) -> None:
    result = run(config_of(web), [row(f"{SITE}/gone.png", "cat")], tmp_path / "out")

    assert [f.name[:6] for f in result.files] == ["ledger"]
    assert list(bytes_of(tmp_path / "out")) == [f.name for f in result.files]
    assert result.num_outputs == 0


def test_nothing_to_fetch_is_no_error(web: Web, tmp_path: Path) -> None:
    result = run(config_of(web), [], tmp_path / "out")

    assert (result.num_inputs, result.num_outputs, list(result.files)) == (0, 0, [])
    assert sum(result.states.values()) == 0


def test_an_image_that_moved_is_stored_under_the_address_that_was_asked_for(
    web: Web, tmp_path: Path
) -> None:
    web.routes["/old.png"] = Reply(status=301, headers=[("Location", f"{OTHER}/3.png")])

    run(config_of(web), [row(f"{SITE}/old.png", "cat")], tmp_path / "out")

    [found] = ledger_of(tmp_path / "out").to_dicts()
    assert (found["state"], found["image_key"]) == ("fetched", image_key(f"{SITE}/old.png"))
