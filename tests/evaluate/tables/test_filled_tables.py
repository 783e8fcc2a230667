"""Which number of a run fills which column, and what is best of a column."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from paper_results import metric, run_of, task, whole_run

from openalign.evaluate.datasets.labels.vtab.vtab_tasks import TASK_OF, VTAB_TASKS
from openalign.evaluate.results import TaskResult
from openalign.evaluate.tables.filling import (
    Cell,
    FilledTable,
    OurNumber,
    ReportTables,
    Row,
    best_of,
    tables_of,
)
from openalign.evaluate.tables.origins import EvaluatedRun
from openalign.evaluate.tables.paper import TABLES
from openalign.evaluate.tasks.kinds import KINDS
from openalign.settings.fields import identity
from openalign.train.fine_tune.recipes import FineGrainedRecipe, ImageNetRecipe, VtabRecipe

I2T = "split/image_to_text/recall_at_1"
FLICKR = "Flickr30K, image to text, R@1"
COCO = "MSCOCO 5K, image to text, R@1"
OF_IMAGENET = {"head_top_1": 0.8, "top_1": 0.9, "top_5": 0.98, "mean_per_class": 0.9}
WHOLE_IMAGENET = {"num_classes": 1_000, "num_train_images": 1_281_167}
PLAIN = identity(ImageNetRecipe())
ASKED = {"kind": "fine_tune", "benchmark": "imagenet", "name": ""}
OF_PAPER = {"tasks": [{**ASKED, "recipe": PLAIN}]}


def flickr(value: float, *, half: float = 0.01, n: int = 1_000, run: str = "ours") -> EvaluatedRun:
    name = f"retrieval/flickr30k/{I2T}"
    return run_of(run, [task("retrieval", "flickr30k")], [metric(name, value, half=half, n=n)])


def filled(tables: ReportTables, number: int) -> FilledTable:
    [found] = [table for table in tables.filled if table.table.number == number]
    return found


def ours(table: FilledTable) -> list[Row]:
    return [row for row in table.rows if row.is_ours]


def shown(table: FilledTable, row: Row) -> dict[str, str]:
    cells = zip(table.table.columns, row.cells, strict=True)
    return {column.full_title: cell.text for column, cell in cells if cell.text}


def best(table: FilledTable, title: str) -> list[str]:
    at = [column.full_title for column in table.table.columns].index(title)
    return [row.model for row in table.rows if row.cells[at].is_best]


def test_a_run_of_everything_fills_every_column_that_a_task_measures() -> None:
    tables = tables_of([whole_run("ours")])

    assert [table.table.number for table in tables.filled] == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]
    assert tables.empty == []
    assert tables.others == []
    for table in tables.filled:
        rows = ours(table)
        assert [row.setting for row in rows] == [sort.setting for sort in table.table.our_rows]
        for row, sort in zip(rows, table.table.our_rows, strict=True):
            filled = zip(table.table.columns, sort.filled_by, row.cells, strict=True)
            for column, filled_by, cell in filled:
                expected = "" if filled_by is None else f"{50:.{column.decimals}f}"
                assert cell.text == expected, column
        assert rows == table.rows[: len(rows)]


def test_a_number_is_a_percentage_with_interval_queries_and_ties() -> None:
    name = f"retrieval/flickr30k/{I2T}"
    number = metric(name, 0.88649, half=0.0201, n=1_000, ties_at_random=0.891)
    tables = tables_of([run_of("ours", [task("retrieval", "flickr30k")], [number])])

    table = filled(tables, 1)
    [row] = ours(table)
    assert row.cells[0].text == "88.6"
    assert row.cells[0].value == pytest.approx(88.649)
    beside = row.cells[0].ours
    assert beside == OurNumber(low="86.6", high="90.7", n=1_000, ties="89.1", anchor="from-1-1")
    assert row.protocol == "yes"


def test_a_correlation_that_rounds_to_zero_has_no_sign() -> None:
    number = metric("word_similarity/simlex999/all/spearman", -0.0002, half=0.0002, n=999)
    tables = tables_of([run_of("ours", [task("word_similarity", "simlex999")], [number])])

    [row] = ours(filled(tables, 12))
    assert row.cells[0].text == "0.0"
    assert row.cells[0].ours is not None
    assert (row.cells[0].ours.low, row.cells[0].ours.high) == ("0.0", "0.0")


def test_ties_that_read_the_same_are_not_shown() -> None:
    name = f"retrieval/flickr30k/{I2T}"
    number = metric(name, 0.8864, n=1_000, ties_at_random=0.8861)
    tables = tables_of([run_of("ours", [task("retrieval", "flickr30k")], [number])])

    [row] = ours(filled(tables, 1))
    assert row.cells[0].ours is not None
    assert row.cells[0].ours.ties == ""


@pytest.mark.parametrize("name", ["mscoco", "coco", "wds_mscoco_captions", "ms-coco"])
def test_a_published_name_finds_its_column(name: str) -> None:
    number = metric(f"retrieval/{name}/{I2T}", 0.4, n=5_000)
    table = filled(tables_of([run_of("ours", [task("retrieval", name)], [number])]), 1)

    assert shown(table, ours(table)[0]) == {COCO: "40.0"}


@pytest.mark.parametrize(
    ("kind", "benchmark"),
    [("retrieval", "my_flickr"), ("cxc", "flickr30k")],
    ids=["another name", "another kind"],
)
def test_other_numbers_stand_in_a_table_of_their_own(kind: str, benchmark: str) -> None:
    number = metric(f"{kind}/{benchmark}/{I2T}", 0.41234567, n=5)
    tables = tables_of([run_of("ours", [task(kind, benchmark)], [number])])

    assert tables.filled == []
    [row] = tables.others
    assert row.metric == f"{kind}/{benchmark}/{I2T}"
    assert row.cells[0].text == "0.4123"


def test_the_task_that_is_called_as_its_data_set_comes_first_and_others_below() -> None:
    tasks = [task("zero_shot", "imagenet", name="one-prompt"), task("zero_shot", "imagenet")]
    numbers = [
        metric("zero_shot/one-prompt/top_1", 0.5, n=50_000),
        metric("zero_shot/imagenet/top_1", 0.6, n=50_000),
    ]
    table = filled(tables_of([run_of("ours", tasks, numbers)]), 4)

    assert [(row.model, row.cells[0].text) for row in ours(table)] == [
        ("ours", "60.0"),
        ("ours, task one-prompt", "50.0"),
    ]


def test_a_name_that_one_run_has_in_a_table_and_another_has_not_is_shown_twice() -> None:
    name = "retrieval/flickr30k/split/image_to_text/recall_at_1"
    of_another = task("retrieval", "mine", name="flickr30k")
    tables = tables_of([flickr(0.5), run_of("other", [of_another], [metric(name, 0.25)])])

    assert [row.model for row in ours(filled(tables, 1))] == ["ours"]
    assert [[cell.text for cell in row.cells] for row in tables.others] == [["", "0.25"]]


@pytest.mark.parametrize(
    ("run", "protocol"),
    [
        (flickr(0.5, n=990), "990 queries, not 1,000"),
        (
            replace(
                flickr(0.5),
                results=run_of(
                    "ours",
                    [task("retrieval", "flickr30k", split="val")],
                    flickr(0.5).results.metrics,
                ).results,
            ),
            "split val, not test",
        ),
        (
            run_of(
                "ours",
                flickr(0.5).results.tasks,
                flickr(0.5, n=64).results.metrics,
                settings={"fast": True},
            ),
            "a fast run on the first images of each split; 64 queries, not 1,000",
        ),
    ],
    ids=["fewer queries", "another split", "a fast run"],
)
def test_what_differs_from_the_published_protocol_is_said_and_nothing_is_marked(
    run: EvaluatedRun, protocol: str
) -> None:
    table = filled(tables_of([run]), 1)

    assert ours(table)[0].protocol == protocol
    assert best(table, FLICKR) == []


@pytest.mark.parametrize(
    ("value", "half", "marked"),
    [
        (0.896, 0.01, ["ours"]),
        (0.895, 0.01, []),
        (0.88, 0.01, []),
        (0.87, 0.01, ["ALIGN (L2 + Large)"]),
        (0.87, 0.016, []),
    ],
    ids=["low end on it", "low end below it", "within", "high end below it", "high end on it"],
)
def test_only_the_interval_marks_the_best(value: float, half: float, marked: list[str]) -> None:
    table = filled(tables_of([flickr(value, half=half)]), 1)

    assert best(table, FLICKR) == marked
    assert best(table, COCO) == []


def test_fine_tuned_rows_are_not_compared_with_zero_shot_ones() -> None:
    table = filled(tables_of([flickr(0.94)]), 1)

    assert best(table, FLICKR) == ["ours"]
    assert "95.3" in [row.cells[0].text for row in table.rows]


def test_where_the_protocol_is_another_nothing_is_marked() -> None:
    tables = tables_of([whole_run("ours", value=1.0, half=0.001)])

    for number in (2, 3, 6, 7):
        table = filled(tables, number)
        assert all(row.protocol != "yes" for row in ours(table))
        assert not any(cell.is_best for row in table.rows for cell in row.cells)
    for number in (1, 4, 5, 9, 10, 11, 12):
        row, *frozen = ours(filled(tables, number))
        assert row.protocol == "yes"
        assert all(cell.is_best for cell in row.cells)
        # Table 5 has a second row, of a linear probe.
        assert [each.setting for each in frozen] == (["linear probe"] if number == 5 else [])
        assert all(each.protocol.startswith("no: ") for each in frozen)
        assert not any(cell.is_best for each in frozen for cell in each.cells)


NOT_SAID = "classes not known; training images not known"


@pytest.mark.parametrize(
    ("settings", "facts", "protocol"),
    [
        pytest.param({"tasks": []}, {}, f"settings not known; {NOT_SAID}", id="nothing"),
        pytest.param({}, {}, f"{NOT_SAID}; settings not known", id="no recipe"),
        pytest.param({}, WHOLE_IMAGENET, "settings not known", id="sizes alone"),
        pytest.param(
            {},
            {**WHOLE_IMAGENET, "batch_size": 512, "run_right": [1, 2]},
            "settings not known; batch_size: 512, not 1,024; runs: 2, not 1",
            id="what was done",
        ),
        pytest.param(OF_PAPER, {}, NOT_SAID, id="settings alone"),
        pytest.param(
            {"tasks": [{**ASKED, "recipe": {k: v for k, v in PLAIN.items() if k != "epochs"}}]},
            WHOLE_IMAGENET,
            "epochs not known",
            id="one setting less",
        ),
        pytest.param(OF_PAPER, WHOLE_IMAGENET, "yes", id="all"),
    ],
)
def test_what_is_not_known_is_not_the_same_protocol(
    settings: dict[str, Any], facts: dict[str, Any], protocol: str
) -> None:
    each = task("fine_tune", "imagenet", recipe="imagenet", **facts)
    numbers = [
        metric(f"{each.key}/{last}", 1.0, half=0.0, n=50_000)
        for last in ("head_top_1", "top_1", "top_5")
    ]
    table = filled(tables_of([run_of("ours", [each], numbers, settings=settings)]), 5)

    [row] = ours(table)
    assert row.protocol == protocol
    assert [cell.is_best for cell in row.cells] == [protocol == "yes"] * 3


@pytest.mark.parametrize(
    ("kind", "table", "missing", "protocol"),
    [
        ("retrieval", 1, "split", "split not known"),
        ("zero_shot", 4, "split", "split not known"),
        ("zero_shot", 4, "templates", "templates not known"),
        ("neighbors", 9, "num_train_images", "training images not known"),
    ],
)
def test_a_fact_that_is_not_there_is_said_to_be_missing(
    kind: str, table: int, missing: str, protocol: str
) -> None:
    whole = whole_run("ours", value=1.0, half=0.001)
    tasks = [
        msgspec.structs.replace(
            each, facts={name: fact for name, fact in each.facts.items() if name != missing}
        )
        for each in whole.results.tasks
        if each.kind == kind
    ]
    run = run_of("ours", tasks, whole.results.metrics)

    [row] = ours(filled(tables_of([run]), table))
    assert row.protocol == protocol
    assert not any(cell.is_best for cell in row.cells)


def test_words_are_compared_without_a_split() -> None:
    each = TaskResult(name="simlex999", kind="word_similarity", benchmark="simlex999", facts={})
    number = metric("word_similarity/simlex999/all/spearman", 0.9, n=999)
    [row] = ours(filled(tables_of([run_of("ours", [each], [number])]), 12))

    assert row.protocol == "yes"


@pytest.mark.parametrize(
    ("facts", "protocol"),
    [
        pytest.param(
            {
                "steps": [125_114, 125_114],
                "batch_size": 1_024,
                "train_px": [289, 475],
                "eval_px": [360, 600],
                "run_right": [45_000],
            },
            "yes",
            id="as asked",
        ),
        pytest.param(
            {"steps": [125_114, 12_512], "batch_size": 1_024},
            "epochs: 10.0005, not 100",
            id="fewer steps of one stage",
        ),
        pytest.param(
            {"train_px": [224, 475], "eval_px": [360, 480], "run_right": [1, 2]},
            "head_train_px: 224, not 289; eval_px: 480, not 600; runs: 2, not 1",
            id="other crops and runs",
        ),
    ],
)
def test_what_was_done_counts_and_not_what_was_asked(facts: dict[str, Any], protocol: str) -> None:
    whole = {**WHOLE_IMAGENET, **facts}
    run = fine_tuned("imagenet", ImageNetRecipe(), OF_IMAGENET, n=50_000, **whole)

    assert ours(filled(tables_of([run]), 5))[0].protocol == protocol


def sized(kind: str, metric_name: str, **facts: Any) -> EvaluatedRun:
    """Return a run with a perfect number on all of ImageNet's validation images."""
    number = metric(f"{kind}/imagenet/{metric_name}", 1.0, half=0.0, n=50_000)
    return run_of("ours", [task(kind, "imagenet", **facts)], [number])


@pytest.mark.parametrize(
    ("templates", "num_classes", "protocol"),
    [
        (80, 1_000, "yes"),
        (79, 1_000, "templates: 79, not 80"),
        (1, 999, "classes: 999, not 1,000; templates: 1, not 80"),
    ],
)
def test_other_prompts_and_classes_are_another_protocol(
    templates: int, num_classes: int, protocol: str
) -> None:
    facts = {"templates": ["a {}"] * templates, "num_classes": num_classes}
    table = filled(tables_of([sized("zero_shot", "top_1", **facts)]), 4)

    assert ours(table)[0].protocol == protocol
    assert best(table, "ImageNet") == (["ours"] if protocol == "yes" else [])


@pytest.mark.parametrize(
    ("num", "protocol"),
    [(1_281_167, "yes"), (50_000, "training images: 50,000, not 1,281,167")],
)
def test_neighbors_among_fewer_images_are_another_protocol(num: int, protocol: str) -> None:
    table = filled(tables_of([sized("neighbors", "recall_at_1", num_train_images=num)]), 9)

    assert ours(table)[0].protocol == protocol


def test_the_facts_that_sizes_are_read_from_are_those_of_the_kinds() -> None:
    sorts = [sort for table in TABLES for sort in table.our_rows]
    filled_by = [each for sort in sorts for each in sort.filled_by if each is not None]

    asked = {(each.kind, size.fact) for each in filled_by for size in each.sizes}
    assert asked == {
        ("zero_shot", "num_classes"),
        ("zero_shot", "templates"),
        ("neighbors", "num_train_images"),
        ("fine_tune", "num_classes"),
        ("fine_tune", "num_train_images"),
    }
    for kind, fact in asked:
        assert fact in KINDS[kind].facts.__struct_fields__


def our_cell(low: float, high: float) -> Cell:
    beside = OurNumber(low="", high="", n=1, ties="", anchor="a")
    return Cell(text="x", value=(low + high) / 2, low=low, high=high, ours=beside)


def published(value: float) -> Cell:
    return Cell(text="x", value=value, low=value, high=value)


@pytest.mark.parametrize(
    ("cells", "sign", "expected"),
    [
        ([our_cell(5, 6), our_cell(3, 4.9)], 1.0, [0]),
        ([our_cell(5, 6), our_cell(3, 5)], 1.0, []),
        ([our_cell(5, 6), our_cell(3, 5.1)], 1.0, []),
        ([our_cell(5, 5), our_cell(5, 5), published(4)], 1.0, []),
        ([our_cell(5, 6), our_cell(3, 5.1), published(7)], 1.0, [2]),
        ([our_cell(5, 6), published(6.1), published(6.1), published(1)], 1.0, [1, 2]),
        ([our_cell(5, 6), published(6)], 1.0, []),
        ([our_cell(5, 6), published(6)], -1.0, [0]),
        ([our_cell(5, 6), published(5)], -1.0, []),
        ([our_cell(5, 6), published(4.9)], -1.0, [1]),
        ([our_cell(5, 6)], 1.0, []),
        ([published(5), published(6)], 1.0, []),
    ],
)
def test_the_best_of_some_cells(cells: list[Cell], sign: float, expected: list[int]) -> None:
    assert best_of(cells, sign=sign) == expected


def test_each_number_leads_to_its_metric_data_set_and_settings() -> None:
    tables = tables_of([flickr(0.5), whole_run("second")])

    anchors = {origin.anchor: origin for origin in tables.origins}
    assert len(anchors) == len(tables.origins)
    for table in tables.filled:
        for row in ours(table):
            for cell in row.cells:
                if cell.ours is not None:
                    origin = anchors[cell.ours.anchor]
                    assert origin.run == row.model
                    assert 100 * origin.metric.value == cell.value
    first = anchors["from-1-1"]
    assert first.metric.name == f"retrieval/flickr30k/{I2T}"
    assert first.benchmark == "flickr30k"
    assert first.content_hash == "d" * 64
    assert json.loads(first.settings)["benchmark"] == "flickr30k"
    over_tasks = [o for o in tables.origins if o.metric.name.startswith("vtab/all/")]
    assert [(o.benchmark, o.settings) for o in over_tasks] == [("", "")] * 4


def fine_tuned(
    benchmark: str,
    recipe: Any,
    numbers: dict[str, float],
    *,
    n: int,
    **facts: Any,
) -> EvaluatedRun:
    """Return a run of one task of fine-tuning, with its facts and its settings."""
    plain = identity(recipe)
    each = task("fine_tune", benchmark, recipe=plain["kind"], **facts)
    metrics = [metric(f"{each.key}/{last}", value, n=n) for last, value in numbers.items()]
    asked = {"kind": "fine_tune", "benchmark": benchmark, "name": "", "recipe": plain}
    return run_of("ours", [each], metrics, settings={"tasks": [asked]})


def test_a_fine_tuned_network_stands_beside_the_papers_on_imagenet() -> None:
    run = fine_tuned("imagenet", ImageNetRecipe(), OF_IMAGENET, n=50_000, **WHOLE_IMAGENET)
    tables = tables_of([run])

    table = filled(tables, 5)
    [row] = ours(table)
    assert [cell.text for cell in row.cells] == ["80.0", "90.00", "98.00"]
    assert (row.setting, row.protocol) == ("as the column says", "yes")
    [paper] = [each for each in table.rows if each.model == "ALIGN EfficientNet-L2"]
    assert (paper.setting, paper.protocol) == ("as the column says", "yes")
    # The intervals reach 1.0 to each side: 79 to 81 lies below 85.5; 90.2 and 98.8 lie within.
    assert best(table, "Frozen features, top-1") == ["ALIGN EfficientNet-L2"]
    assert best(table, "Fine-tuned, top-1") == best(table, "Fine-tuned, top-5") == []
    assert [other.metric for other in tables.others] == ["fine_tune/imagenet/mean_per_class"]


@pytest.mark.parametrize(
    ("recipe", "facts", "protocol"),
    [
        pytest.param(
            ImageNetRecipe(epochs=10, eval_px=480, runs=3),
            {},
            "epochs: 10, not 100; eval_px: 480, not 600; runs: 3, not 1",
            id="recipe",
        ),
        pytest.param(
            ImageNetRecipe(),
            {"num_train_images": 50_000, "num_classes": 999},
            "classes: 999, not 1,000; training images: 50,000, not 1,281,167",
            id="images",
        ),
        pytest.param(
            ImageNetRecipe(head_learning_rate=0.05),
            {},
            "head_learning_rate: 0.05, not 0.1",
            id="rate",
        ),
    ],
)
def test_a_fine_tuning_by_other_settings_says_so_and_is_not_compared(
    recipe: ImageNetRecipe, facts: dict[str, int], protocol: str
) -> None:
    sizes = {**WHOLE_IMAGENET, **facts}
    table = filled(tables_of([fine_tuned("imagenet", recipe, OF_IMAGENET, n=50_000, **sizes)]), 5)

    assert ours(table)[0].protocol == protocol
    assert not any(cell.is_best for row in table.rows for cell in row.cells)


def test_a_fine_tuning_by_the_recipe_of_another_table_stands_in_none() -> None:
    of_grain = fine_tuned("imagenet", FineGrainedRecipe(), OF_IMAGENET, n=50_000)
    of_vtab = fine_tuned("flowers102", VtabRecipe(), {"top_1": 0.9}, n=6_149)

    assert tables_of([of_grain]).filled == tables_of([of_vtab]).filled == []


def test_fine_grained_classes_have_a_row_of_each_metric_as_the_paper_does_not_say_which() -> None:
    run = fine_tuned(
        "flowers102",
        FineGrainedRecipe(steps=100),
        {"top_1": 0.9, "mean_per_class": 0.85},
        n=6_149,
        num_classes=102,
        num_train_images=1_020,
    )
    table = filled(tables_of([run]), 7)

    assert [(row.setting, shown(table, row)) for row in ours(table)] == [
        ("fine-tuned, top-1", {"Flowers-102": "90.00"}),
        ("fine-tuned, mean per class", {"Flowers-102": "85.00"}),
    ]
    for row in ours(table):
        assert row.protocol.startswith("not known: the paper says neither whether")
        assert row.protocol.endswith(
            "; training images of Flowers-102: 1,020, not 2,040; steps: 100, not 20,000"
        )
    assert not any(cell.is_best for row in table.rows for cell in row.cells)


def vtab_run(recipe: VtabRecipe, **facts: Any) -> EvaluatedRun:
    """Return a run of VTAB's four specialized tasks, the first with other facts, and another."""
    names = [each.name for each in VTAB_TASKS if each.group == "specialized"]
    of_vtab = {"recipe": "vtab", "num_train_images": 1_000, "num_val_images": 200}
    tasks = [
        task(
            "fine_tune",
            f"vtab_{name}",
            vtab_task=name,
            **{**of_vtab, "num_images": TASK_OF[name].num_test, **(facts if at == 0 else {})},
        )
        for at, name in enumerate(names)
    ]
    tasks.append(task("fine_tune", "vtab_dtd", vtab_task="dtd", **{**of_vtab, "num_images": 1}))
    asked = [
        {"kind": "fine_tune", "benchmark": each.benchmark, "name": "", "recipe": identity(recipe)}
        for each in tasks
    ]
    numbers = [metric("fine_tune/all/specialized", 0.875, n=4)]
    return run_of("ours", tasks, numbers, settings={"tasks": asked})


def test_the_means_of_fine_tuned_vtab_stand_beside_the_papers_and_gaps_stay_empty() -> None:
    table = filled(tables_of([vtab_run(VtabRecipe())]), 6)

    [row] = ours(table)
    assert [cell.text for cell in row.cells] == ["", "", "87.50", ""]
    assert row.setting == "fine-tuned"
    # What DTD has of its own is no difference of the specialized tasks.
    assert row.protocol == (
        "not known: settings are tried in BiT's ranges; the paper's were not found"
    )


def test_what_a_task_of_vtab_has_otherwise_is_said_of_the_mean() -> None:
    recipe = VtabRecipe(trials=2, updates=(10, 20))
    [row] = ours(filled(tables_of([vtab_run(recipe, num_images=64)]), 6))

    assert row.protocol.endswith(
        "; trials: 2, not 50; updates: 10 or 20, not 500 or 1,000 or 2,000 or 4,000 or 8,000 or "
        "16,000; Patch Camelyon: splits of other sizes than published"
    )


def test_what_facts_say_of_vtabs_sweep_counts_and_sizes_that_they_do_not_say_are_missing() -> None:
    done = {"batch_size": 32, "trials": [{}, {}], "run_right": [1], "num_val_images": None}
    [row] = ours(filled(tables_of([vtab_run(VtabRecipe(), **done)]), 6))

    assert row.protocol.endswith(
        "; trials: 2, not 50; batch_size: 32, not 64; runs: 1, not 3; "
        "Patch Camelyon: sizes of splits not known"
    )


def test_both_stages_of_fine_grained_classes_count() -> None:
    done = {"steps": [20_000, 100], "train_px": [289, 224], "run_right": [1, 2, 3]}
    sizes = {"num_classes": 102, "num_train_images": 2_040}
    run = fine_tuned("flowers102", FineGrainedRecipe(), {"top_1": 0.9}, n=6_149, **sizes, **done)

    [row] = ours(filled(tables_of([run]), 7))
    assert row.protocol.endswith(" of both; steps: 100, not 20,000; train_px: 224, not 289")
