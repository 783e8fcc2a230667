"""A fetch through img2dataset, in an environment of its own, and what happens without one."""

import io
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from faulty_web import SITE, Reply, Web, serve
from fetches import (
    OTHER,
    PNG,
    bytes_of,
    config_of,
    image,
    image_file,
    ledger_of,
    make_rule,
    row,
    rows_of,
)
from fetches import run as run_fetch
from patience import PATIENCE_SECONDS, wait_for
from PIL import Image

from openalign.errors import ConfigError, StageError
from openalign.files.shards import ShardReader
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching.img2dataset.process import (
    VERSION,
    Img2datasetProcess,
    require_img2dataset,
    settings_for,
)
from openalign.ingest.web.config import WebConfig

ROOT = Path(__file__).parents[4]
PYTHON = os.environ.get(
    "OPENALIGN_IMG2DATASET_PYTHON", str(ROOT / ".venv-img2dataset" / "bin" / "python")
)
"""The environment is made from a package registry, so tests make none."""

needs_img2dataset = pytest.mark.skipif(
    not Path(PYTHON).exists(), reason="needs the environment of `make img2dataset`"
)


def settings(web: Web, /, **changes: Any) -> FetchConfig:
    kind = {"engine": "img2dataset", "img2dataset_python": PYTHON}
    manners = web.download(num_retries=0, respect_robots=False)
    return config_of(web, **({"web": manners} | kind | changes))


def photograph(seed: int, size: tuple[int, int] = (64, 48), **saved: Any) -> bytes:
    """Return smooth colors as a JPEG: there is little that filters could see in another way."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]] / max(size)
    planes = [np.sin(3 * x + seed), np.cos(2 * y + seed), np.sin(2 * (x + y) - seed)]
    pixels = np.rint(127 + 100 * np.stack(planes, axis=-1)).astype(np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=95, **saved)
    return sink.getvalue()


def stored(folder: Path, url: str) -> tuple[str, bytes]:
    """Return the member that holds an image, and its bytes, through the index."""
    found = duckdb.sql(
        f"""
        select l.shard, i.member, i.offset, i.length
        from '{folder}/ledger-*.parquet' l join '{folder}/*.index.parquet' i on i.key = l.image_key
        where l.image_url = '{url}' and i.member not in ('txt', 'json')
        """
    )
    [(shard, member, offset, length)] = found.fetchall() if found else []
    return member, ShardReader(str(folder)).read(shard, offset, length)


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({f"/{n}.png": image(n) for n in range(12)}) as web:
        yield web


@needs_img2dataset
@pytest.mark.slow
def test_every_image_ends_in_the_state_in_which_it_ends_otherwise(tmp_path: Path) -> None:
    replies = {
        "fetched": image(1),
        "not_an_image": Reply(body=b"<html>"),
        "undecoded_format": Reply(body=b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "decode_failure": Reply(body=image_file(2)[:60]),
        "short_side": image(3, (10, 10)),
        "aspect_ratio": image(4, (400, 40)),
        "too_large": Reply(body=photograph(1, (700, 500))),
        "too_many_pixels": image(5, (300, 300)),
        "http_gone": Reply(status=404),
        "http_client_error": Reply(status=403),
        "http_server_error": Reply(status=500),
        "connect_failure": Reply(hang_up=True),
        "truncated": Reply(body=image_file(1), length=9999),
        "opted_out": Reply(body=image_file(6), headers=[*PNG, ("X-Robots-Tag", "OpenALIGN: noai")]),
        "private_address": Reply(status=302, headers=[("Location", "http://10.0.0.1/")]),
        "too_many_redirects": Reply(status=302, headers=[("Location", "/too_many_redirects")]),
    }
    more = {"/tdm": Reply(body=image_file(7), headers=[*PNG, ("TDM-Reservation", "1")])}
    with serve({f"/{name}": reply for name, reply in replies.items()} | more) as web:
        rows = [row(f"{SITE}{path}", "a cat") for path in web.routes]
        rows.append(row("http://nowhere.invalid/dns_failure", "a cat"))
        changes = {"max_bytes": 20_000, "max_pixels": 80_000, "num_buckets": 1}

        result = run_fetch(settings(web, **changes), rows, tmp_path / "a", rule=make_rule())
        ours = settings(web, engine="openalign", **changes)
        run_fetch(ours, rows, tmp_path / "b", rule=make_rule())

    ledger, expected = (
        {r["image_url"].rpartition("/")[2]: r for r in ledger_of(tmp_path / name).to_dicts()}
        for name in "ab"
    )
    assert {name: r["state"] for name, r in ledger.items()} == {
        **{name: name for name in replies},
        "tdm": "opted_out",
        "dns_failure": "dns_failure",
    }
    assert sum(result.states.values()) == len(rows)
    worded = {"too_many_redirects"}  # urllib does not count them
    assert {n: r for n, r in ledger.items() if n not in worded} == {
        n: r for n, r in expected.items() if n not in worded
    }


@needs_img2dataset
@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "member", "size"),
    [
        pytest.param({"size_px": 24}, "jpg", (32, 24), id="the shorter side"),
        pytest.param({"size_px": 24, "resize": "center_crop"}, "jpg", (24, 24), id="a crop"),
        pytest.param({"resize": "none", "format": "webp"}, "webp", (64, 48), id="WebP as it was"),
        pytest.param({"size_px": 24, "format": "png"}, "png", (32, 24), id="PNG"),
        pytest.param({"size_px": 500}, "jpg", (64, 48), id="never larger"),
    ],
)
def test_what_is_stored_is_what_would_be_stored_otherwise(
    changes: dict[str, Any], member: str, size: tuple[int, int], tmp_path: Path
) -> None:
    url = f"{SITE}/photo.jpg"
    with serve({"/photo.jpg": Reply(body=photograph(1))}) as web:
        run_fetch(settings(web, **changes), [row(url, "waves")], tmp_path / "theirs")
        run_fetch(config_of(web, **changes), [row(url, "waves")], tmp_path / "ours")

    (name, theirs), (same_name, ours) = (stored(tmp_path / n, url) for n in ("theirs", "ours"))
    assert name == same_name == member
    pixels = [
        np.asarray(Image.open(io.BytesIO(each)).convert("RGB"), int) for each in (theirs, ours)
    ]
    assert pixels[0].shape == pixels[1].shape == (size[1], size[0], 3)
    assert abs(pixels[0] - pixels[1]).mean() < 3
    assert ledger_of(tmp_path / "theirs").equals(ledger_of(tmp_path / "ours"))


@needs_img2dataset
@pytest.mark.slow
def test_originals_stay_as_they_came(tmp_path: Path) -> None:
    url, sideways = f"{SITE}/photo", Image.Exif()
    sideways[0x0112] = 6
    body = photograph(2, exif=sideways)
    with serve({"/photo": Reply(body=body)}) as web:
        run_fetch(settings(web, keep_original=True), [row(url, "waves")], tmp_path / "theirs")
        run_fetch(config_of(web, keep_original=True), [row(url, "waves")], tmp_path / "ours")

    assert stored(tmp_path / "theirs", url) == ("jpg", body)
    assert bytes_of(tmp_path / "theirs") == bytes_of(tmp_path / "ours")


@needs_img2dataset
@pytest.mark.slow
def test_a_killed_fetch_goes_on_to_the_same_bytes(web: Web, tmp_path: Path) -> None:
    rows = rows_of([SITE, OTHER], 12)
    run_fetch(settings(web, num_buckets=1), rows, tmp_path / "whole")
    held = threading.Event()

    def reply_late(_: BaseHTTPRequestHandler) -> Reply:
        held.wait(PATIENCE_SECONDS)
        return image(11)

    web.routes["/11.png"] = reply_late
    code = (
        "import pickle, sys; from fetches import run; from pathlib import Path;"
        "config, rows, folder = pickle.loads(sys.stdin.buffer.read());"
        "run(config, rows, Path(folder))"
    )
    paths = os.pathsep.join([str(ROOT), *(str(ROOT / p) for p in ("tests", "tests/ingest"))])
    config = settings(web, num_buckets=1)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
    ) as fetching:
        assert fetching.stdin is not None
        fetching.stdin.write(pickle.dumps((config, rows, str(tmp_path / "killed"))))
        fetching.stdin.close()
        # Two hosts have it, and the first that is asked for is held.
        wait_for(lambda: web.asked["/11.png"] >= 3, "a request for an image that waits")
        fetching.send_signal(signal.SIGKILL)
    held.set()

    run_fetch(config, rows, tmp_path / "killed")

    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


@needs_img2dataset
@pytest.mark.slow
def test_a_process_that_is_killed_stops_the_fetch(web: Web) -> None:
    config = settings(web)
    with Img2datasetProcess(PYTHON, settings_for(config)) as process:
        assert [d.is_success for d, _, _ in process.download([f"{SITE}/1.png"])] == [True]
        process._process.kill()
        process._process.wait()
        with pytest.raises(StageError, match="img2dataset failed: it ended by itself"):
            list(process.download([f"{SITE}/2.png"]))


# Without the environment --------------------------------------------------------------------------


def python_that(folder: Path, script: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_release_that_is_driven_is_taken_and_pinned(tmp_path: Path) -> None:
    require_img2dataset(python_that(tmp_path, f"echo {VERSION}"))

    pins = (ROOT / "constraints-img2dataset.txt").read_text(encoding="utf-8").splitlines()
    assert f"img2dataset=={VERSION}" in pins
    assert all("==" in pin for pin in pins)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 1.25.4", "has img2dataset 1.25.4, and 1.47.0 is needed"),
        ("exit 1", "has no img2dataset"),
    ],
)
def test_another_release_or_none_is_refused(script: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        require_img2dataset(python_that(tmp_path, script))

    assert "`make img2dataset`" in (raised.value.hint or "")


def test_a_python_that_is_not_there_is_named_before_anything_is_made(
    web: Web, tmp_path: Path
) -> None:
    config = settings(web, img2dataset_python=str(tmp_path / "none"))

    with pytest.raises(ConfigError, match=r"`fetch.img2dataset_python`: .*/none: No such file"):
        run_fetch(config, rows_of([SITE], 1), tmp_path / "out")

    assert not (tmp_path / "out").exists()
    assert not web.asked


def test_a_process_that_ends_at_once_says_its_last_words(web: Web, tmp_path: Path) -> None:
    script = f'test "$2" = -c && echo {VERSION} || {{ echo "no room" >&2; exit 3; }}'

    with pytest.raises(StageError, match=r"it ended by itself\n\nno room"):
        run_fetch(
            settings(web, img2dataset_python=python_that(tmp_path, script)),
            rows_of([SITE], 1),
            tmp_path / "out",
        )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, "web.respect_robots and web.ask_tdmrep must be false"),
        ({"ask_tdmrep": False}, ": web.respect_robots must be false"),
        ({"respect_robots": False}, ": web.ask_tdmrep must be false"),
    ],
)
def test_rules_that_it_does_not_ask_for_must_be_off(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        FetchConfig(engine="img2dataset", web=WebConfig(**changes))


def test_a_proxy_is_refused() -> None:
    web = WebConfig(respect_robots=False, ask_tdmrep=False, proxy="http://proxy.example:3128")
    with pytest.raises(ValueError, match="asks through no proxy"):
        FetchConfig(engine="img2dataset", web=web)


def test_what_it_cannot_store_is_refused() -> None:
    web = WebConfig(respect_robots=False, ask_tdmrep=False)
    with pytest.raises(ValueError, match="cannot squash"):
        FetchConfig(engine="img2dataset", web=web, resize="squash")

    FetchConfig(engine="img2dataset", web=web, resize="squash", keep_original=True)
