"""Training on webdataset tars that somebody else wrote, by the pipeline of docs/own_images.md."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
import webdataset.writer
import yaml
from range_server import range_server
from tiny_training import COLORS, SHAPES, jpeg_of, tiny_config

from openalign import cli
from openalign.files.block_cache import BLOCK_BYTES
from openalign.settings.fields import to_plain
from openalign.train.config import Duration

PAGE = Path(__file__).parents[2] / "docs" / "own_images.md"


def pipeline_of_the_page() -> dict[str, Any]:
    section = PAGE.read_text().partition("## Train on tars that exist")[2]
    found = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return yaml.safe_load(found[1])


def write_tars(folder: Path) -> None:
    """Write eight tars of four samples as the library does, with members that training ignores."""
    folder.mkdir()
    with webdataset.writer.ShardWriter(f"{folder}/%06d.tar", maxcount=4, verbose=0) as sink:
        for color in COLORS:
            for shape in SHAPES:
                sink.write(
                    {
                        "__key__": f"{color}_{shape}",
                        "jpg": jpeg_of(color, shape),
                        "txt": f"{color} {shape}",
                        "cls": COLORS.index(color),
                        "json": {"made": "by hand"},
                    }
                )


@pytest.mark.slow
@pytest.mark.distributed
def test_the_pages_pipeline_trains_on_tars_where_they_lie_and_on_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are indexed on this machine. Then the same tars are trained on from a web server."""
    write_tars(tmp_path / "tars")
    pipeline = pipeline_of_the_page()
    own = pipeline["mine"]
    own |= {"root": str(tmp_path / "run")}
    own["train"] = to_plain(tiny_config(duration=Duration(steps=4), image_cache_mb=0))
    for section in ("filter", "select"):
        own[section] |= {"count_buckets": 2}
    own["fetch"] = {"num_buckets": 2}
    own["select"] |= {"num_files": 2}
    config = tmp_path / "pipelines.yaml"

    def run(verb: str, path: str, *words: str) -> int:
        own["harvest"]["source"]["path"] = f"{path}/{{000000..000007}}.tar"
        config.write_text(yaml.safe_dump(pipeline))
        return cli.main([verb, "mine", "--config", str(config), *words])

    assert [run(v, f"{tmp_path}/tars") for v in ("harvest", "filter", "fetch", "select")] == [0] * 4
    assert run("train", f"{tmp_path}/tars") == 0
    sealed = json.loads((tmp_path / "run" / "train" / "manifest.json").read_text())
    assert sealed["states"] == {"never_drawn": 0, "trained_on": 32}
    assert not list((tmp_path / "run").rglob("*.tar"))

    metrics = (tmp_path / "run" / "train" / "metrics.jsonl").read_bytes()
    (tmp_path / "run" / "train").rename(tmp_path / "on-this-machine")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "tmp").mkdir()
    with range_server(tmp_path / "tars") as server:
        assert run("fetch", server.url) == 0  # up to date: it notes where the tars are now
        server.asked.clear()
        assert run("train", server.url) == 0
        blocks = [line for line in server.asked if line.endswith(f"bytes=0-{BLOCK_BYTES - 1}")]
    assert len(blocks) == len(set(blocks)) == 8  # a small tar is one block
    assert (tmp_path / "run" / "train" / "metrics.jsonl").read_bytes() == metrics
