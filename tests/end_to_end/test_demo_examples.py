"""The searches that README, the docs and `--help` show are asked of the demo that `make demo` made.

Its training takes minutes, so the demo is not made for these tests: where `runs/demo` is not
complete, they are skipped. Which examples are true for several seeds is what
`benchmarks/demo_examples.py` finds.
"""

import json
import re
import shlex
from pathlib import Path

import pytest

from openalign import cli
from openalign.commands import parsing
from openalign.commands.contract import Options
from openalign.run.config import load_pipeline
from openalign.run.contract import Run
from openalign.run.stages import STAGES

ROOT = Path(__file__).parents[2]
PIPELINES = str(ROOT / "pipelines.yaml")
DEMO = ROOT / "runs" / "demo"


@pytest.fixture(scope="module")
def root() -> Path:
    """Return the root of the finished demo."""
    run = Run(stages=STAGES, config=load_pipeline(PIPELINES, "demo", [f"root={DEMO}"]))
    if run.folder("evaluate").read() is None:
        pytest.skip("runs/demo is not there: make demo")
    return DEMO


def shown_searches() -> list[str]:
    """Return the searches of the demo that README, its film, the docs and `--help` show."""
    film = ROOT / "docs" / "images" / "film.txt"
    pages = [ROOT / "README.md", film, *sorted((ROOT / "docs").glob("*.md"))]
    texts = [re.sub(r"\\\n *", "", page.read_text()) for page in pages]
    texts.append(parsing.parser().format_help())
    found = [line for text in texts for line in re.findall(r"openalign search demo (.*)", text)]
    return list(dict.fromkeys(" ".join(re.split(r"  +|#", line)[0].split()) for line in found))


def test_searches_are_shown() -> None:
    shown = shown_searches()

    assert any("--image" in words for words in shown)
    assert sum("--image" not in words for words in shown) > 2


@pytest.mark.parametrize("shown", shown_searches())
def test_a_search_that_is_shown_finds_what_it_says(
    root: Path, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(shown.replace("runs/demo", str(root)))

    where = ("--config", PIPELINES, "--set", f"root={root}")
    assert cli.main(["search", "demo", *words, "--json", *where]) == 0

    first = json.loads(capsys.readouterr().out)[0]
    options = parsing.read(["search", "demo", *words])
    if options.image:
        assert Path(first["path"]).name == edited(root, options)
    else:
        name = first["caption"].split()
        assert set(" ".join(options.words).split()) <= set(name)
        assert not {word for text in options.minus for word in text.split()} & set(name)


def edited(root: Path, options: Options) -> str:
    """Return the image that the benchmark names for an edit."""
    edits = json.loads((root / "site" / "benchmark" / "composed.json").read_text())["queries"]
    [target] = [
        edit["target"]
        for edit in edits
        if edit["image"] == Path(options.image).name
        and [edit["minus"], edit["plus"]] == [*options.minus, *options.plus]
    ]
    return target
