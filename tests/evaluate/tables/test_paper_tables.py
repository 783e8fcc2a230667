"""The published rows, against figures typed from the sources and sums that they print."""

from collections import Counter

import pytest

from openalign.evaluate.datasets.kinds import KINDS as DATASETS
from openalign.evaluate.tables.contract import PaperTable, canonical, printed_value
from openalign.evaluate.tables.paper import TABLES
from openalign.evaluate.tasks.kinds import KINDS as TASKS

BY_NUMBER = {table.number: table for table in TABLES}
ALIASES = {"coco", "imagenet1k", "simlex"}
"""Names in common use that `openalign datasets` does not list."""


def values(table: int, model: str, setting: str, *, data: str = "") -> list[str]:
    [row] = [
        row
        for row in BY_NUMBER[table].rows
        if (row.model, row.setting) == (model, setting) and data in row.data
    ]
    return list(row.values)


def numbers(cells: list[str]) -> list[float]:
    return [value for value in map(printed_value, cells) if value is not None]


def test_the_tables_are_those_that_a_run_can_stand_in() -> None:
    assert [table.number for table in TABLES] == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]
    assert {table.number: len(table.rows) for table in TABLES} == {
        1: 13, 2: 5, 3: 5, 4: 3, 5: 8, 6: 2, 7: 4, 9: 10, 10: 4, 11: 5, 12: 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "model", "setting", "data", "column", "shown"),
    [
        (1, "ALIGN (L2 + Large)", "zero-shot", "", "Flickr30K, image to text, R@1", "88.6"),
        (1, "ALIGN (L2 + Large)", "fine-tuned", "", "Flickr30K, image to text, R@10", "100.0"),
        (1, "ALIGN (L2 + Large)", "zero-shot", "", "MSCOCO 5K, text to image, R@1", "45.6"),
        (1, "CLIP", "zero-shot", "", "MSCOCO 5K, image to text, R@5", "81.5"),
        (1, "GPO", "fine-tuned", "", "MSCOCO 5K, image to text, R@10", ""),
        (1, "COYO-ALIGN (B7 + Base)", "zero-shot", "", "MSCOCO 5K, image to text, R@1", "61.2"),
        (1, "kakaobrain/align-base", "zero-shot", "", "Flickr30K, text to image, R@5", "92.2"),
        (2, "ALIGN (L2 + Large)", "fine-tuned on MSCOCO", "", "Image to image, R@1", "49.4"),
        (3, "ALIGN (L2 + Large)", "fine-tuned on MSCOCO", "", "SITS", "67.6\u00b11.2"),
        (4, "ALIGN (L2 + Large)", "zero-shot", "", "ImageNet-R", "92.2"),
        (4, "CLIP", "zero-shot", "", "ImageNet-A", "77.2"),
        (4, "kakaobrain/align-base", "zero-shot", "", "ImageNet", "62.7"),
        (5, "ALIGN EfficientNet-L2", "as the column says", "", "Frozen features, top-1", "85.5"),
        (5, "ALIGN EfficientNet-L2", "as the column says", "", "Fine-tuned, top-5", "98.67"),
        (6, "ALIGN (L2 + Large)", "fine-tuned", "", "All 19 tasks", "79.99\u00b10.15"),
        (7, "ALIGN (EfficientNet-L2)", "fine-tuned", "", "Cars", "96.13"),
        (9, "ALIGN (B3 + Mini)", "zero-shot", "Concept", "ImageNet, nearest neighbor, R@1", "48.9"),
        (10, "ALIGN (B7 + Base)", "zero-shot", "6 mill", "MSCOCO 5K, text to image, R@1", "11.9"),
        (11, "ALIGN, multilingual (L2 + Large)", "zero-shot", "", "cs", "63.2"),
        (12, "ALIGN (L2 + Large)", "as it is", "", "Concreteness 3", "47.6"),
        (12, "GloVe", "as it is", "", "Adjectives", "62.2"),
    ],
)  # fmt: skip
def test_a_figure_is_as_printed(  # noqa: PLR0917
    table: int, model: str, setting: str, data: str, column: str, shown: str
) -> None:
    titles = [each.full_title for each in BY_NUMBER[table].columns]

    assert values(table, model, setting, data=data)[titles.index(column)] == shown


def test_the_mean_of_the_six_recalls_on_flickr30k_is_the_mean_recall_of_table_11() -> None:
    recalls = numbers(values(1, "ALIGN (L2 + Large)", "zero-shot")[:6])

    assert sum(recalls) / 6 == pytest.approx(92.2, abs=0.05)
    assert values(11, "ALIGN, English (L2 + Large)", "zero-shot")[0] == "92.2"


def test_the_mean_over_vtab_is_over_tasks_and_not_over_groups() -> None:
    mean, natural, specialized, structured = numbers(values(6, "ALIGN (L2 + Large)", "fine-tuned"))

    assert (7 * natural + 4 * specialized + 8 * structured) / 19 == pytest.approx(mean, abs=0.005)
    assert (natural + specialized + structured) / 3 != pytest.approx(mean, abs=0.5)


@pytest.mark.parametrize("row", BY_NUMBER[3].rows, ids=lambda row: row.model)
def test_the_last_column_of_table_3_is_the_mean_of_the_others(row: object) -> None:
    *correlations, mean = numbers(list(row.values))  # pyright: ignore[reportAttributeAccessIssue]

    assert sum(correlations) / 3 == pytest.approx(mean, abs=0.051)


def test_tables_9_and_10_share_a_row() -> None:
    of_9 = values(9, "ALIGN (B7 + Base)", "zero-shot", data="Conceptual Captions")

    assert values(10, "ALIGN (B7 + Base)", "zero-shot", data="Conceptual Captions") == of_9


def test_what_coyo_calls_neighbors_stands_in_no_column_of_neighbors() -> None:
    cells = [cell for table in (9, 10) for row in BY_NUMBER[table].rows for cell in row.values]

    assert "76.4" not in cells
    assert any("76.4" in note for note in BY_NUMBER[9].notes)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_recall_at_more_is_never_lower(table: PaperTable) -> None:
    for row in table.rows:
        for i, column in enumerate(table.columns[:-1]):
            after = table.columns[i + 1]
            pair = [printed_value(row.values[at]) for at in (i, i + 1)]
            if column.group and column.group == after.group and None not in pair:
                assert numbers(list(row.values[i : i + 2])) == sorted(pair), row.model  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns_ask_for_kinds_and_data_sets_that_there_are(table: PaperTable) -> None:
    known = {canonical(name) for kind in DATASETS.values() for name in kind.names}
    for filled_by in (each for sort in table.our_rows for each in sort.filled_by):
        if filled_by is not None:
            assert filled_by.kind in TASKS
            names = set(filled_by.benchmarks)
            assert {name for name in names if canonical(name) not in known} <= ALIASES
            assert bool(names) != ("vtab" in (filled_by.kind, filled_by.recipe))
    assert max(Counter(column.full_title for column in table.columns).values()) == 1


def test_capitals_and_dashes_of_a_name_do_not_count() -> None:
    assert canonical("ImageNet-V2") == canonical("imagenet_v2") == "imagenetv2"
