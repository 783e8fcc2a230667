"""A data engineer's first hour: from a table of addresses to a model and a report."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faulty_web import Reply, serve
from own_images import image_bytes

from openalign import cli

pytestmark = pytest.mark.slow

NUM_IMAGES = 40
SHORT = ["train.duration.steps=3", "train.schedule.warmup_steps=1", "web.requests_per_second=100"]
"""What a person would wait a minute for."""

MOST_TRIES = 5


@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.parquet"])
def test_from_a_table_to_a_report_by_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    images = {
        f"/{number}.jpg": Reply(body=image_bytes(number, size=(220 + number, 210)))
        for number in range(NUM_IMAGES)
    }
    with serve(images) as web:
        write_table(name, [f"http://{web.address}{path}" for path in images])
        assert cli.main(["init", "mine", name]) == 0
        assert "next: set its web.contact, then openalign run mine" in capfd.readouterr().err
        assert cli.main(["validate", "mine"]) == 0
        capfd.readouterr()

        said, changes = run_as_hints_say(capfd)

    assert changes["web.contact"] == "crawler@example.org"
    assert changes["web.allowed_networks"] == "127.0.0.0/8"
    assert "fetch     40 of 40 in " in said
    assert "report: runs/mine/report/report.html" in said
    assert Path("runs/mine/report/report.html").read_text().count("a red field on gray, number") > 9
    assert cli.main(["status", "runs/mine", *overrides(changes)]) == 0
    assert "all is up to date" in capfd.readouterr().out


def write_table(name: str, urls: list[str]) -> None:
    """Write addresses and texts as the name's ending says."""
    texts = [f"a red field on gray, number {number}" for number in range(len(urls))]
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"URL": urls, "TEXT": texts}), name)
    else:  # as CC3M has it: without names of columns, texts first
        lines = [f"{text}\t{url}\n" for text, url in zip(texts, urls, strict=True)]
        Path(name).write_text("".join(lines))


def overrides(changes: dict[str, str]) -> list[str]:
    return [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]


def run_as_hints_say(capfd: pytest.CaptureFixture[str]) -> tuple[str, dict[str, str]]:
    """Run the pipeline; whenever it refuses, type what its hint says. Return what it says last."""
    said, changes = "", dict(change.split("=") for change in SHORT)
    for _ in range(MOST_TRIES):
        code = cli.main(["run", "mine", *overrides(changes)])
        said = capfd.readouterr().err
        if code == 0:
            return said, changes
        assert code == 2
        told = re.findall(r"--set ([\w.]+)=([^\s,;]+)", said.rpartition("hint: ")[2])
        assert told, said
        changes.update(told)
    pytest.fail(f"refused {MOST_TRIES} times: {said}")
