"""`openalign estimate`: a sample is fetched politely, said, and thrown away."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_web import SITE, Reply, Web, serve
from fetches import image, image_file
from pairs_pipeline import openalign, write_pipeline

from openalign.files.hashing import image_key

NUM_IMAGES = 12
GONE = ("/1.png", "/4.png", "/9.png")
BY_KEY = sorted((f"{SITE}/{n}.png" for n in range(NUM_IMAGES)), key=image_key)


@pytest.fixture
def web() -> Iterator[Web]:
    routes = {f"/{number}.png": image(number) for number in range(NUM_IMAGES)}
    with serve({**routes, **dict.fromkeys(GONE, Reply(status=404))}) as running:
        yield running


@pytest.fixture
def folder(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_pipeline(tmp_path, web, NUM_IMAGES)
    for verb in ("harvest", "filter"):
        assert openalign(tmp_path, verb) == 0
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def bytes_of(urls: list[str]) -> int:
    """Return the bytes of those images that are there."""
    paths = [url.removeprefix(SITE) for url in urls]
    return sum(len(image_file(int(path[1:-4]))) for path in paths if path not in GONE)


def test_of_a_whole_everything_is_counted_and_nothing_is_left_behind(
    web: Web, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_in(folder)

    assert openalign(folder, "estimate", "--json", "--price-gb-month", "3") == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["num_candidates"], found["sampled_candidates"]) == (24, 24)
    assert found["num_images"] == {"value": 12, "low": 12, "high": 12}
    assert found["sampled_images"] == 12
    assert found["sampled_states"] == {"fetched": 9, "http_gone": 3}
    assert found["success_rate"]["value"] == 0.75
    num_bytes = bytes_of(BY_KEY)
    assert found["num_bytes"] == {"value": num_bytes, "low": num_bytes, "high": num_bytes}
    stored = found["stored_bytes"]["value"]
    assert stored % 512 == 0
    assert found["cost_of_storage_per_month"]["value"] == pytest.approx(3 * stored / 1e9)
    assert found["cost_of_cores"] is None
    assert found["core_hours"]["value"] > 0
    assert found["slow_hosts"] == []
    assert web.asked.total() == NUM_IMAGES + 1  # each once, and robots.txt
    assert files_in(folder) == before


def test_a_sample_is_the_first_images_by_key_and_stands_for_all(
    web: Web, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert openalign(folder, "estimate", "--json", "--sample", "12") == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["sampled_candidates"], found["sampled_images"]) == (12, 6)
    assert set(web.asked) == {url.removeprefix(SITE) for url in BY_KEY[:6]} | {"/robots.txt"}
    assert found["num_images"]["value"] == 12
    assert found["num_bytes"]["value"] == 2 * bytes_of(BY_KEY[:6])
    assert found["num_bytes"]["low"] < found["num_bytes"]["value"] < found["num_bytes"]["high"]


def test_a_host_that_takes_hours_is_named_by_all_of_its_candidates(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # An hour has 22 requests; with one image in the sample none has to wait.
    rate = ("--set", "fetch.web.requests_per_second=0.0062", "--sample", "2")
    capsys.readouterr()

    assert openalign(folder, "estimate", *rate, "--set", "fetch.web.respect_robots=false") == 0

    out = capsys.readouterr().out.splitlines()
    assert out[0] == "from 2 of 24 candidates, which name 1 images"
    assert out[-1] == "pictures.example: 24 candidates, 65 minutes at 0.0062 requests a second"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--sample", "0"], "--sample must be above 0, got 0", id="no sample"),
        pytest.param(["--sample", "1"], "no image is in the sample", id="less than an image"),
        pytest.param(["--price-core-hour", "-1"], "--price-core-hour must be 0 or", id="negative"),
        pytest.param(["--price-gb-month", "nan"], "--price-gb-month must be 0 or", id="no number"),
        pytest.param(["--set", "fetch.web.contact="], "`web.contact` must be set", id="no contact"),
    ],
)
def test_what_cannot_be_estimated_is_said(
    web: Web, folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert openalign(folder, "estimate", *options) == 2

    assert said in capsys.readouterr().err
    assert not web.asked
    assert list((folder / "tmp").iterdir()) == []
