"""The tables as CSV and LaTeX."""

import csv
import io

import pytest
from paper_results import metric, run_of, task, whole_run

from openalign.evaluate.tables.export import files_of
from openalign.evaluate.tables.filling import tables_of

NAME = "retrieval/flickr30k/split/image_to_text/recall_at_1"


def files(name: str = "ours") -> dict[str, str]:
    numbers = [
        metric(NAME, 0.9, n=1_000, ties_at_random=0.95),
        metric("retrieval/mine/x", 0.25, n=7),
    ]
    tasks = [task("retrieval", "flickr30k"), task("retrieval", "mine")]
    return files_of(tables_of([run_of(name, tasks, numbers)]))


def test_only_tables_with_a_number_of_a_run_are_written() -> None:
    assert sorted(files()) == [
        "other-numbers.csv",
        "other-numbers.tex",
        "table-1.csv",
        "table-1.tex",
    ]


def test_csv_has_our_rows_and_published_ones_with_source_and_protocol() -> None:
    rows = list(csv.DictReader(io.StringIO(files()["table-1.csv"])))

    first = rows[0]
    assert first["Model"] == "ours"
    assert first["Same protocol?"] == "yes"
    title = "Flickr30K, image to text, R@1"
    beside = [
        first[f"{title}{part}"] for part in ("", ", low", ", high", ", n", ", ties at random")
    ]
    assert beside == ["90.0", "89.0", "91.0", "1000", "95.0"]
    assert first["MSCOCO 5K, text to image, R@1"] == ""
    [align] = [row for row in rows if (row["Model"], row["Setting"]) == (
        "ALIGN (L2 + Large)", "zero-shot")]  # fmt: skip
    assert align[title] == "88.6"
    assert align[f"{title}, low"] == ""
    assert align["Source"] == "ALIGN, Table 1"
    assert align["Training data"] == "1.8 billion pairs, not released"
    assert {row["Same protocol?"] for row in rows if row["Setting"] == "fine-tuned"} == {
        "no: fine-tuned on each data set"
    }


def test_other_numbers_have_a_line_a_metric_in_csv() -> None:
    assert list(csv.reader(io.StringIO(files()["other-numbers.csv"]))) == [
        ["Metric", "ours", "ours, low", "ours, high", "ours, n", "ours, ties at random"],
        ["retrieval/mine/x", "0.25", "0.24", "0.26", "7", ""],
    ]


def test_latex_is_a_tabular_of_booktabs_with_as_many_cells_in_each_line() -> None:
    for name, text in files_of(tables_of([whole_run("ours")])).items():
        if not name.endswith(".tex"):
            continue
        lines = [line for line in text.splitlines() if not line.startswith("%")]
        [alignment] = [
            line.partition("{tabular}{")[2].rstrip("}")
            for line in lines
            if line.startswith(r"\begin{tabular}")
        ]
        rows = [line for line in lines if line.endswith(r" \\") and "multicolumn" not in line]
        assert {line.count(" & ") + 1 for line in rows} == {len(alignment)}
        rules = [line for line in lines if line.endswith("rule")]
        assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]
        assert lines[-1] == r"\end{tabular}"


def test_latex_groups_span_their_columns_and_the_best_is_bold() -> None:
    text = files()["table-1.tex"]

    assert r" &  & \multicolumn{3}{c}{Flickr30K, image to text} & " in text
    assert r"\cmidrule(lr){3-5} \cmidrule(lr){6-8} \cmidrule(lr){9-11} \cmidrule(lr){12-14}" in text
    assert r"ours & zero-shot & \textbf{90.0} {\scriptsize [89.0, 91.0]} & " in text
    assert "% Table 1: image-text retrieval on Flickr30K and MSCOCO\n" in text


def test_latex_says_above_a_table_what_differs_from_the_paper() -> None:
    text = files_of(tables_of([whole_run("ours")]))["table-6.tex"]

    assert "% ours, frozen features: the paper's protocol? no: the head alone is trained" in text
    assert "% ours, fine-tuned: the paper's protocol? not known: settings are tried in" in text
    assert r"79.99$\pm$0.15" in text


def test_what_means_something_to_latex_is_escaped() -> None:
    text = files(r"a_b & 50% #1 {x} \y ~z ^w $v")["table-1.tex"]

    assert (
        r"a\_b \& 50\% \#1 \{x\} \textbackslash{}y \textasciitilde{}z \textasciicircum{}w \$v &"
        in text
    )


@pytest.mark.parametrize("name", ["[1ex] a", "* a"])
def test_no_row_of_latex_begins_with_an_option_of_the_line_before(name: str) -> None:
    lines = files(name)["table-1.tex"].splitlines()

    assert [line.partition(" & ")[0] for line in lines if " a & " in line] == [
        f"{{{name[0]}}}{name[1:]}"
    ]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_spreadsheet_computes_nothing_from_the_name_of_a_run(name: str) -> None:
    shown = f"'{name.strip()}"

    table, others = (
        list(csv.reader(io.StringIO(files(name)[f"{file}.csv"])))
        for file in ("table-1", "other-numbers")
    )
    assert table[1][0] == shown
    assert others[0][:2] == ["Metric", shown]
