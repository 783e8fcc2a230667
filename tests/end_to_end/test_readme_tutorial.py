"""README's section on one's own data: its pipelines and commands, run on small inputs.

What the section shows of the terminal must be what the commands print, but for the numbers.
"""

import re
from pathlib import Path

import polars as pl
import pytest
import yaml
from archives_made import gz, page, record
from crawls import page as web_page
from faulty_web import Web, serve
from own_images import write_img2dataset

from openalign import cli
from openalign.files.names import SOURCE_FOLDER

README = Path(__file__).parents[2] / "README.md"
COUNTS = re.compile(r"\d+ of \d+ in \d+ s(, \d+ a second)?(: [\w ,]+)?")
SOURCES = ["crawl", "captions", "museum", "shards"]


def blocks(kind: str) -> list[str]:
    """Return the fenced blocks of the section, of one kind."""
    readme = README.read_text(encoding="utf-8")
    section = readme.partition("\n## Bring your own data\n")[2].partition("\n### ")[0]
    fences = re.findall(r"^```(\w*)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [text for found, text in fences if found == kind]


def terminal(name: str) -> list[tuple[list[str], list[str]]]:
    """Return the commands of a pipeline, each with the lines that the section shows behind it."""
    [shown] = [block for block in blocks("") if f" {name}\n" in block]
    first, *commands = shown.split("$ openalign ")
    assert not first
    return [(command[0].split(), command[1:]) for command in map(str.splitlines, commands)]


def write_inputs() -> None:
    """Write what the section's pipelines name into the current folder; the site is served."""
    Path("archives").mkdir()
    pages = page(
        "<html lang=en><img src=1.jpg alt='a red boat on the sea'><img src=2.jpg>"
        "<figure><img src=3.jpg><figcaption>two dogs on a beach</figcaption></figure></html>"
    )
    Path("archives/a.warc.gz").write_bytes(gz(pages, record(b"a: b", kind="metadata")))
    Path("Train_GCC-training.tsv").write_text("a red boat on the sea\thttp://a.example/1.jpg\n")
    write_img2dataset(Path("cc3m-tars"), 0, range(3))


SITE = {
    "/": web_page("/boats.html", alt="two dogs on a beach"),
    "/boats.html": web_page(alt="a red boat on the sea"),
}


def settings_of_site(web: Web) -> list[str]:
    """Return the settings that lead the section's site to this machine."""
    reached = f"{{museum.example: '{web.address}'}}"
    values = {
        "harvest.source.seeds": "['http://museum.example/']",
        "web.connect_to": reached,
        "web.allowed_networks": "['127.0.0.0/8']",
    }
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def test_the_tutorial_does_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs()
    Path("pipelines.yaml").write_text("".join(blocks("yaml")))
    assert list(yaml.safe_load(Path("pipelines.yaml").read_text())) == SOURCES

    with serve(SITE) as web:
        for name in SOURCES:
            more = settings_of_site(web) if name == "museum" else []
            for words, shown in terminal(name):
                assert cli.main([*words, *more]) == 0
                said = capsys.readouterr().err.splitlines()
                assert _without_counts(said) == _without_counts(shown)

    kept = {name: len(pl.read_parquet(f"runs/{name}/filtered/kept-*.parquet")) for name in SOURCES}
    assert kept == {"crawl": 2, "captions": 1, "museum": 2, "shards": 3}
    places = pl.read_parquet("runs/shards/selected/training-*.parquet")["shard"]
    assert set(places) == {f"{SOURCE_FOLDER}/00000.tar"}


def _without_counts(lines: list[str]) -> list[str]:
    return [COUNTS.sub("N of N", line) for line in lines]
