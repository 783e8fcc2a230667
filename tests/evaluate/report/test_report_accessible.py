"""The pages of reports and of a comparison under axe, in Chromium and in jsdom.

Only Chromium knows contrast. Needs Node and axe: `npm install --no-save axe-core jsdom` in
the top folder of the clone.
"""

import json
import subprocess
from pathlib import Path

import pytest
from browser import RULES, TOP, node_module, seen_by_axe
from chosen_evaluations import Run, number
from given import report_on
from paper_results import whole_run
from squares import config_of, run_stage

from openalign.evaluate.compare import page as comparison_page
from openalign.evaluate.compare.differences import compare
from openalign.evaluate.report import several
from openalign.files.names import COMPARE_HTML, REPORT_HTML

IN_JSDOM = f"""\
const {{ JSDOM }} = require("jsdom");
const fs = require("fs");
const page = new JSDOM(fs.readFileSync(process.argv[1], "utf8"), {{ runScripts: "dangerously" }});
page.window.eval(fs.readFileSync(require.resolve("axe-core"), "utf8"));
const options = {{ ...{RULES}, rules: {{ "color-contrast": {{ enabled: false }} }} }};
page.window.axe.run(page.window.document, options).then((found) => console.log(JSON.stringify({{
  violations: found.violations.map((each) => [each.id, each.nodes.map((node) => node.html)]),
  passes: found.passes.map((each) => each.id),
}})));
"""


@pytest.fixture
def side_by_side(tmp_path: Path) -> Path:
    """Return a page with every table, of two runs."""
    several.write([whole_run("first"), whole_run("second", value=0.99)], str(tmp_path / "both"))
    return tmp_path / "both" / REPORT_HTML


@pytest.fixture
def alone(shared_benchmark: Path, model_folder: str, tmp_path: Path) -> Path:
    """Return the page of one run, with galleries."""
    config = config_of(shared_benchmark)
    run_stage(shared_benchmark, config, model=model_folder, output=tmp_path / "evaluate")
    report_on(tmp_path)
    return tmp_path / "report" / REPORT_HTML


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """Return the page of a comparison, with every verdict and a metric that is not compared."""
    low, high = [0.1] * 5, [0.9] * 5
    values = {"split/text_to_image/recall_at_1": (low, high), "worse": (high, low)}
    values |= {"equal": (low, low), "deviation": ([], [])}
    base, other = (
        Run(numbers=[number(name, 0.5, drawn[which]) for name, drawn in values.items()])
        for which in (0, 1)
    )
    found = compare(base.named("a-long-name-of-a-run"), [other.named("other"), base.named("same")])
    comparison_page.write(found, str(tmp_path / "compared"))
    return tmp_path / "compared" / COMPARE_HTML


@pytest.mark.slow
@pytest.mark.parametrize("width_px", [1440, 390])
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("which", ["side_by_side", "alone", "compared"])
def test_axe_finds_nothing_in_chromium(
    which: str, width_px: int, *, is_dark: bool, request: pytest.FixtureRequest
) -> None:
    page: Path = request.getfixturevalue(which)

    found = seen_by_axe(page, width_px=width_px, is_dark=is_dark)

    assert found["violations"] == []
    assert "color-contrast" in found["passes"]
    assert found["overflow"] <= 0


@pytest.mark.slow
def test_axe_finds_nothing_in_jsdom(side_by_side: Path) -> None:
    node_module("axe-core")
    node_module("jsdom")

    words = ["node", "-e", IN_JSDOM, "--", str(side_by_side)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=TOP)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["violations"] == []
    assert "empty-table-header" in found["passes"]
