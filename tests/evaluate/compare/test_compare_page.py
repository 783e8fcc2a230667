"""The page of a comparison in HTML, in Markdown and in JSON, and its lines in the terminal."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from chosen_evaluations import Run, number

from openalign.evaluate.compare import page, terminal
from openalign.evaluate.compare.differences import compare
from openalign.evaluate.compare.records import Comparison

BASE = [0.1, 0.2, 0.3, 0.4, 0.5]
A = Run(
    numbers=[
        number("split/text_to_image/recall_at_1", 0.3, BASE),
        number("split/text_to_image/recall_at_5", 0.5, BASE),
        number("split/mean_recall", 0.4, BASE),
        number("split/text_to_image/median_rank", 7, [7, 7, 8, 8, 9], higher_is_better=False),
        number("a|b_c/<b>/recall_at_1", 0.1),
    ]
)
B = Run(
    numbers=[
        number("split/text_to_image/recall_at_1", 0.36789, [x + 0.05 for x in BASE]),
        number("split/text_to_image/recall_at_5", 0.4, [x - 0.1 for x in BASE]),
        number("split/mean_recall", 0.4, [0.2, 0.1, 0.3, 0.5, 0.4]),
        number("split/text_to_image/median_rank", 5, [5, 5, 6, 6, 7], higher_is_better=False),
    ],
    hashes={"weights": "<w>"},
)


@pytest.fixture
def comparison() -> Comparison:
    return compare(A.named("base"), [B.named("<i>|tuned_v2")])


def test_the_terminal_has_a_row_a_metric_and_says_what_chance_would_do() -> None:
    found = list(terminal.lines(compare(A.named("base"), [B.named("tuned")])))

    prefix = "retrieval/pets/split"
    assert found[0] == (
        "tuned against base: 4 of 5 metrics compared, 50 % intervals of the paired difference"
    )
    assert [re.sub(r"  +", "|", line) for line in found[2:7]] == [
        "metric|base|tuned|difference|interval|verdict",
        f"{prefix}/text_to_image/recall_at_1|30.00|36.79|+6.79|+5.00 to +5.00|better",
        f"{prefix}/text_to_image/recall_at_5|50.00|40.00|-10.00|-10.00 to -10.00|worse",
        f"{prefix}/mean_recall|40.00|40.00|0.00|-10.00 to +10.00|no difference seen",
        f"{prefix}/text_to_image/median_rank|7|5|-2|-2 to -2|better",
    ]
    assert found[8:] == [
        "1 worse, 2 better, 1 no difference seen",
        (
            "If both models were equal, about 1.0 of 4 metrics would still be called worse, and as "
            "many better."
        ),
        "not compared, not measured in tuned: retrieval/pets/a|b_c/<b>/recall_at_1",
    ]


def test_many_metrics_of_one_reason_are_counted() -> None:
    gone = [number(f"gone_{at}", 0.5, BASE) for at in range(5)]
    a = Run(numbers=[*gone, number("x", 0.5, BASE)])
    b = Run(numbers=[number("x", 0.5, BASE)])

    *_, last = terminal.lines(compare(a.named("a"), [b.named("b")]))

    assert last == (
        "not compared, not measured in b: retrieval/pets/gone_0, retrieval/pets/gone_1, "
        "retrieval/pets/gone_2 and 2 more"
    )


def test_several_runs_have_a_table_each() -> None:
    runs = [run.named(name) for run, name in ((A, "b"), (B, "c"))]

    found = compare(A.named("a"), runs)
    html = page.render(found, "compare.html")

    tables = [line for line in terminal.lines(found) if " against a: " in line]
    assert [line.partition(" ")[0] for line in tables] == ["b", "c"]
    assert '<section id="run-1">' in html
    assert '<a href="#run-2">c</a>' in html


class Checked(HTMLParser):
    """Collects what a page asks for, and sees that what is opened is closed."""

    VOID = ("meta", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked_for: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.asked_for += [
            str(value)
            for name, value in attrs
            if name in ("src", "href") and not str(value).startswith("#")
        ]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "rect", f"{tag} of {attrs} is not closed"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing(comparison: Comparison) -> None:
    parser = Checked()

    parser.feed(page.render(comparison, "compare.html"))

    assert parser.open == []
    assert parser.asked_for == []


def test_the_page_shows_the_worst_first_and_escapes_what_is_foreign(
    comparison: Comparison,
) -> None:
    html = page.render(comparison, "compare.html")

    heads = re.findall(r'<th scope="rowgroup" colspan="5">(.*?)</th>', html)
    assert heads == ["Worse: 1", "Better: 2", "No difference seen: 1"]
    assert "<title>&lt;i&gt;|tuned_v2 against base</title>" in html
    assert "<code>&lt;w&gt;</code>" in html
    assert "a|b_c/&lt;b&gt;/recall_at_1" in html  # in the list of what is not compared
    assert "<code>retrieval/<wbr>pets/<wbr>split/<wbr>mean_recall</code>" in html
    # Strips reach to the furthest end, 10 points; ranks have none.
    assert "Strips reach from &minus;10.00 to 10.00 points" in html
    assert html.count('<svg class="strip"') == 3
    assert 'aria-label="-10.00 points, from -10.00 to -10.00"' in html
    assert "<b>\u22122</b> <small>\u22122 to \u22122</small>" in html


def test_equal_runs_have_no_strips() -> None:
    html = page.render(compare(A.named("a"), [A.named("b")]), "compare.html")

    assert "<svg" not in html
    assert "0.00 to 0.00" in html


def test_every_markdown_row_has_six_cells(comparison: Comparison) -> None:
    markdown = page.render(comparison, "compare.md")

    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert [row.replace("\\|", "").count("|") for row in rows] == [7] * 6
    assert rows[2].startswith("| retrieval/pets/split/text\\_to\\_image/recall\\_at\\_5 | 50.00 |")
    assert rows[2].endswith("| **\u221210.00** | \u221210.00 to \u221210.00 | worse |")
    assert "- not measured in &lt;i&gt;\\|tuned\\_v2: retrieval/pets/a\\|b\\_c/" in markdown


def test_the_json_comes_back_as_its_record(comparison: Comparison, tmp_path: Path) -> None:
    page.write(comparison, str(tmp_path))

    text = (tmp_path / "compare.json").read_text()
    assert msgspec.json.decode(text, type=Comparison) == comparison
    assert json.loads(text)["runs"][0]["differences"][1]["verdict"] == "worse"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "compare.html",
        "compare.json",
        "compare.md",
    ]


def test_what_rounds_to_zero_has_no_sign() -> None:
    base = Run(numbers=[number("spearman", -0.00001, BASE)])
    found = list(terminal.lines(compare(base.named("base"), [base.named("same")])))

    assert re.sub(r"  +", "|", found[3]) == (
        "retrieval/pets/spearman|0.00|0.00|0.00|0.00 to 0.00|no difference seen"
    )
