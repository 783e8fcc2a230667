"""The page's opening numbers and its tables, of a tiny model on squares under published names."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from given import report_on
from squares import benchmarks_of

from openalign.evaluate import stage
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.tasks.retrieval.retrieval import RetrievalTask

Reported = Callable[..., tuple[str, str]]


@pytest.fixture
def reported(shared_benchmark: Path, model_folder: str, tmp_path: Path) -> Reported:
    """Return what measures the squares in some tasks and gives the report's two forms."""

    def report(*tasks: RetrievalTask) -> tuple[str, str]:
        squares = benchmarks_of(shared_benchmark)["squares"]
        stage.run(
            EvaluateConfig(tasks=tasks, bootstrap_resamples=5),
            {task.benchmark: squares for task in tasks},
            model=model_folder,
            output=str(tmp_path / "evaluate"),
            work=f"{tmp_path}/evaluate/work",
        )
        return report_on(tmp_path)

    return report


@pytest.mark.parametrize(
    ("num_tasks", "cards", "lists", "sentence"),
    [
        (2, 8, 2, None),
        (3, 3, 1, "3 tasks have headline numbers; here is the first of each."),
        (9, 8, 1, "9 tasks have headline numbers; here is the first of each of the first 8."),
    ],
)
def test_the_page_opens_with_eight_numbers_at_most(
    reported: Reported,
    *,
    num_tasks: int,
    cards: int,
    lists: int,
    sentence: str | None,
) -> None:
    html, _ = reported(
        *(RetrievalTask(benchmark="squares", name=f"t{i}") for i in range(num_tasks))
    )

    assert html.count('<span class="big">') == cards
    assert html.count('<ul class="numbers"') == lists
    said = re.findall(r"\d+ tasks have headline numbers; [^.]*\.", html)
    assert said == ([] if sentence is None else [sentence])


def test_a_run_on_a_published_benchmark_has_its_row_and_each_number_leads_to_its_origin(
    reported: Reported, tmp_path: Path
) -> None:
    html, markdown = reported(RetrievalTask(benchmark="flickr30k"))

    before, after = html.split('<section id="numbers">')
    assert 'id="table-1">Table 1: image-text retrieval on Flickr30K and MSCOCO' in before
    assert 'id="table-4"' not in html
    assert "<summary>Table 4: zero-shot top-1 on ImageNet" in after
    assert "5 queries, not 1,000; 10 queries, not 5,000" in before
    rows = set(re.findall(r'<tr id="(from-[\d-]+)">', html))
    links = set(re.findall(r'<a href="#(from-[\d-]+)">', html))
    assert len(links) > 6
    assert links == rows
    assert "### Table 1: image-text retrieval" in markdown
    with (tmp_path / "report" / "tables" / "table-1.csv").open(newline="") as source:
        row = next(csv.DictReader(source))
    assert row["Model"] == "toy"
    assert row["Flickr30K, image to text, R@1, n"] == "5"
    assert row["MSCOCO 5K, image to text, R@1"] == ""


def test_without_a_published_benchmark_the_papers_tables_are_folded(
    reported: Reported, tmp_path: Path
) -> None:
    html, markdown = reported(RetrievalTask(benchmark="squares"))

    assert 'id="tables"' not in html
    assert html.count("<details><summary>Table ") == 11
    assert "none of these benchmarks was measured here" in html
    assert "## The paper's tables" not in markdown
    assert sorted(path.name for path in (tmp_path / "report" / "tables").iterdir()) == [
        "other-numbers.csv",
        "other-numbers.tex",
    ]
