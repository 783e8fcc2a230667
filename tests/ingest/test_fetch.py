"""The fetch stage as a whole: shards, ledgers, counts, and being killed."""

import gc
import io
import json
import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
import webdataset
from faulty_web import SITE, Reply, Web, serve
from PIL import Image

from openalign.hashing import bucket_of, candidate_key, image_key
from openalign.ingest import fetch
from openalign.ingest.config import FetchConfig
from openalign.ingest.image_shards import HeaderRule, cut_into_shards
from openalign.ingest.images import fingerprint
from openalign.manifest import StageResult
from openalign.schemas import CANDIDATE, LEDGER, FetchState
from openalign.shards import ShardReader, read_table, write_table

PNG = [("Content-Type", "image/png")]
OTHER = "http://other.example"
THIRD = "http://third.example"


def picture(number: int, size: tuple[int, int] = (60, 40)) -> bytes:
    sink = io.BytesIO()
    color = (number * 37 % 256, number * 91 % 256, number * 53 % 256)
    Image.new("RGB", size, color).save(sink, "PNG")
    return sink.getvalue()


def image(number: int, size: tuple[int, int] = (60, 40), **changes: Any) -> Reply:
    return Reply(body=picture(number, size), headers=PNG, **changes)


def row(url: str, text: str) -> dict[str, Any]:
    return {
        "key": candidate_key(url, text),
        "image_url": url,
        "alt_text": text,
        "page_url": f"{SITE}/",
        "found_in": "img_alt",
        "raw_image_url": url,
        "page_language": "en",
    }


def rows_of(sites: Sequence[str], num_images: int) -> list[dict[str, Any]]:
    """Return candidates: every image under one text, every third under three."""
    return [
        row(f"{site}/{n}.png", text)
        for site in sites
        for n in range(num_images)
        for text in ([f"cat {n}", f"Felix {n}", f"größe {n}"] if n % 3 == 0 else [f"cat {n}"])
    ]


def make_rule() -> HeaderRule:
    """Return a rule that a worker process can be sent: by value, since it cannot import tests."""

    def rule(width_px: int, height_px: int) -> FetchState | None:
        if min(width_px, height_px) < 20:
            return FetchState.SHORT_SIDE
        return FetchState.ASPECT_RATIO if width_px > 3 * height_px else None

    return rule


def config_of(web: Web, **changes: Any) -> FetchConfig:
    settings: dict[str, Any] = {
        "download": web.download(num_retries=0),
        "short_side_px": 20,
        "images_per_shard": 7,
        "num_buckets": 3,
    }
    return FetchConfig(**(settings | changes))


def run(
    config: FetchConfig,
    rows: Sequence[dict[str, Any]],
    folder: Path,
    options: Sequence[str] = (),
    rule: HeaderRule | None = None,
) -> StageResult:
    kept = folder.parent / f"{folder.name}-kept"
    urls = []
    for number in range(2):
        table = pa.Table.from_pylist(list(rows[number::2]), schema=CANDIDATE)
        write_table(str(kept), f"kept-{number}.parquet", table)
        urls.append(str(kept / f"kept-{number}.parquet"))
    return fetch.run(
        config,
        kept=urls,
        header_rule=rule,
        output=str(folder),
        work=str(folder / "work"),
        beam_options=options,
    )


def ledger_of(folder: Path) -> pl.DataFrame:
    return duckdb.sql(f"from '{folder}/ledger-*.parquet' order by key").pl()  # pyright: ignore[reportOptionalMemberAccess]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".tmp-")
    }


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
    assert result.facts["images"] == {"fetched": 40}
    assert result.facts["num_bytes"] == 2 * sum(len(picture(n)) for n in range(20))
    assert web.asked.total() == 42  # each image once, and two robots.txt
    assert sorted(f.name for f in result.files) == sorted(bytes_of(tmp_path / "out"))
    ledger = ledger_of(tmp_path / "out")
    assert ledger["key"].to_list() == sorted(r["key"] for r in rows)
    assert ledger["detail"].null_count() == 68


def test_a_ledger_row_says_what_is_known_of_the_image(web: Web, tmp_path: Path) -> None:
    web.routes["/big.png"] = image(5, (300, 500))

    run(config_of(web), [row(f"{SITE}/big.png", "a cat")], tmp_path / "out")

    [found] = ledger_of(tmp_path / "out").to_dicts()
    sha256, phash = fingerprint(picture(5, (300, 500)))
    assert found == row(f"{SITE}/big.png", "a cat") | {
        "archive": None,
        "archive_offset": None,
        "image_key": image_key(f"{SITE}/big.png"),
        "state": "fetched",
        "detail": None,
        "http_status": 200,
        "content_type": "image/png",
        "width_px": 300,
        "height_px": 500,
        "num_bytes": len(picture(5, (300, 500))),
        "sha256": sha256,
        "phash": phash,
        "shard": f"shard-{bucket_of('pictures.example', 3):05d}-00000.tar",
    }
    [path] = (tmp_path / "out").glob("ledger-*")
    assert read_table(str(path)).schema.equals(LEDGER, check_metadata=True)


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
    assert int(facts["phash"], 16) == fingerprint(picture(3))[1]
    assert Image.open(io.BytesIO(sample["jpg"])).size == (30, 20)


def test_the_index_leads_to_each_member(web: Web, tmp_path: Path) -> None:
    run(config_of(web), rows_of([SITE], 10), tmp_path / "out")

    ledger = ledger_of(tmp_path / "out").unique("image_key")
    reader = ShardReader(str(tmp_path / "out"))
    for found in ledger.iter_rows(named=True):
        index = read_table(str(tmp_path / "out" / found["shard"]).replace(".tar", ".index.parquet"))
        members = {
            entry["member"]: reader.read(found["shard"], entry["offset"], entry["length"])
            for entry in index.to_pylist()
            if entry["key"] == found["image_key"]
        }
        assert Image.open(io.BytesIO(members["jpg"])).size == (30, 20)
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
        host: [bucket_of(host, 5)]
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
            Reply(body=picture(3), headers=[*PNG, ("X-Robots-Tag", "noimageai")]),
            "opted_out",
        ),
        "/hang-up": (Reply(hang_up=True), "connect_failure"),
        "/cut": (Reply(body=picture(4), headers=PNG, length=len(picture(4)) + 9), "truncated"),
        "/late": (image(5, before_seconds=2.0), "timeout"),
        "/page": (Reply(body=b"<html>Not found, with status 200</html>"), "not_an_image"),
        "/empty": (Reply(headers=PNG), "not_an_image"),
        "/half": (Reply(body=picture(6, (300, 300))[:150], headers=PNG), "decode_failure"),
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
    config = config_of(web, download=download, max_bytes=limit, max_pixels=1_000_000)

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
    small = picture(1, (10, 500))
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


# The same bytes, whatever happens -----------------------------------------------------------------


def test_the_order_of_candidates_and_arrivals_does_not_show(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE, OTHER], 20)
    first = run(config_of(web), rows, tmp_path / "first")
    for n in range(20):
        web.routes[f"/{n}.png"] = image(n, before_seconds=0.002 * (20 - n))

    second = run(
        config_of(web, download=web.download(connections_per_host=20)), rows[::-1], tmp_path / "2nd"
    )

    assert asdict(first) == asdict(second)
    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "2nd")


@pytest.mark.distributed
@pytest.mark.slow
def test_bundles_repeated_and_workers_apart_give_the_same_bytes(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE, OTHER, THIRD], 20)
    apart = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    results = {
        name: run(config_of(web), rows, tmp_path / name, options, make_rule())
        for name, options in {
            "plain": [],
            "repeated": ["--direct_runner_bundle_repeat=2"],
            "apart": apart,
        }.items()
    }

    assert asdict(results["plain"]) == asdict(results["repeated"]) == asdict(results["apart"])
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "repeated")
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "apart")


def test_a_finished_shard_is_read_and_not_fetched_again(web: Web, tmp_path: Path) -> None:
    rows = [*rows_of([SITE], 20), row(f"{SITE}/gone.png", "cat")]
    first = run(config_of(web), rows, tmp_path / "out")
    before = bytes_of(tmp_path / "out")
    [*_, ledger] = sorted((tmp_path / "out").glob("ledger-*"))
    ledger.unlink()
    web.asked.clear()

    second = run(config_of(web), rows, tmp_path / "out")

    assert asdict(second) == asdict(first)
    assert bytes_of(tmp_path / "out") == before
    assert web.asked.total() == 7 + 1  # the 21st to 15th image, and robots.txt


def test_a_tar_that_belongs_to_no_ledger_is_removed(web: Web, tmp_path: Path) -> None:
    rows = [row(f"{SITE}/1.png", "cat")]
    run(config_of(web), rows, tmp_path / "out")
    [ledger] = (tmp_path / "out").glob("ledger-*")
    ledger.unlink()
    web.routes["/1.png"] = Reply(status=404)

    result = run(config_of(web), rows, tmp_path / "out")

    assert sorted(bytes_of(tmp_path / "out")) == [f.name for f in result.files] == [ledger.name]


_FETCH = """
import pickle, sys
from pathlib import Path
from openalign.ingest import fetch

output, config, *kept = sys.argv[1:]
config = pickle.loads(Path(config).read_bytes())
fetch.run(
    config, kept=kept, header_rule=None, output=output, work=output + "/work", beam_options=[]
)
"""


@pytest.mark.distributed
@pytest.mark.slow
def test_a_fetch_killed_in_the_middle_gives_the_bytes_of_one_that_was_not(
    web: Web, tmp_path: Path
) -> None:
    rows = rows_of([SITE, OTHER], 20)
    whole = run(config_of(web), rows, tmp_path / "whole")
    reached, release = threading.Event(), threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> Reply:
        reached.set()
        release.wait(60)
        return Reply(hang_up=True)

    by_key = sorted((f"{OTHER}/{n}.png" for n in range(20)), key=image_key)
    held = by_key[10].removeprefix("http://")  # of the second shard of that host
    web.routes[held] = hold
    (tmp_path / "config").write_bytes(pickle.dumps(config_of(web)))
    kept = [str(tmp_path / "whole-kept" / f"kept-{n}.parquet") for n in range(2)]
    command = [sys.executable, "-c", _FETCH, tmp_path / "cut", tmp_path / "config", *kept]
    with subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL) as fetching:
        assert reached.wait(60)
        fetching.kill()
    release.set()
    del web.routes[held]
    done_before = len(list((tmp_path / "cut").glob("ledger-*")))
    web.asked.clear()

    resumed = run(config_of(web), rows, tmp_path / "cut")

    assert done_before >= 1
    assert 0 < web.asked.total() < 42
    assert asdict(resumed) == asdict(whole)
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")


# How a bucket is cut ------------------------------------------------------------------------------


@pytest.mark.parametrize("images_per_shard", [1, 2, 7, 100])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_shard_holds_so_many_whole_images_and_only_the_last_holds_fewer(
    web: Web, seed: int, images_per_shard: int
) -> None:
    draw = random.Random(seed)
    pairs = {(draw.randrange(30), draw.randrange(5)) for _ in range(60 * seed)}
    rows = [row(f"{SITE}/{number}", str(text)) for number, text in pairs]
    candidates = pl.DataFrame(pa.Table.from_pylist(rows, schema=CANDIDATE))
    config = config_of(web, images_per_shard=images_per_shard)

    shards = cut_into_shards(candidates, config)

    images = [shard["image_url"].unique(maintain_order=True).to_list() for shard in shards]
    in_order = sorted({r["image_url"] for r in rows}, key=image_key)
    assert [url for part in images for url in part] == in_order
    assert all(len(part) == images_per_shard for part in images[:-1])
    assert all(0 < len(part) <= images_per_shard for part in images[-1:])
    assert sum(shard.height for shard in shards) == len(rows)
    for shard in shards:
        for url in shard["image_url"].unique():
            keys = shard.filter(image_url=url)["key"].to_list()
            assert keys == sorted(keys)
