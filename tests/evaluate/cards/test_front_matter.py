"""The YAML of a card, and the model index, by the hub's own parser."""

from typing import Any

import pytest
import yaml
from huggingface_hub.repocard_data import EvalResult, model_index_to_eval_results
from vtab_facts import ALL, finished, means

from openalign.evaluate.cards.front_matter import model_index, to_yaml
from openalign.evaluate.results import Metric, Results, TaskResult

RETRIEVAL: dict[str, Any] = {
    "split": "val",
    "num_images": 3,
    "num_captions": 6,
    "gallery_splits": ("val",),
    "num_gallery_images": 3,
    "num_gallery_captions": 6,
    "num_folds": None,
    "num_fold_images": None,
}


def metric(name: str, value: float = 0.5) -> Metric:
    return Metric(name=name, value=value, low=0.25, high=0.75, n=6, chance=0.125)


def results_of(*tasks: TaskResult, metrics: tuple[Metric, ...]) -> Results:
    names = [task.benchmark for task in tasks]
    return Results(
        metrics=metrics,
        tasks=tasks,
        settings={"benchmarks": {name: {"kind": "karpathy"} for name in names}},
        libraries={},
        hashes={f"dataset/{name}": f"sha of {name}" for name in names},
    )


def retrieval_on(benchmark: str, *, name: str = "") -> TaskResult:
    return TaskResult(
        name=name or benchmark, kind="retrieval", benchmark=benchmark, facts=RETRIEVAL
    )


@pytest.mark.parametrize(
    "text",
    [
        "---",
        "a\n---\nlicense: mit",
        "yes",
        "null",
        "1e3",
        "0o17",
        "1_000",
        "2021-01-01",
        "a: b # c",
        "- a",
        "*a &b !c",
        "\u2028\x85\x00",
        "日本の猫 🍎",
        "'\"`",
        " a ",
        "",
        "a" * 500,
    ],
)
def test_a_text_stays_a_text_in_one_line(text: str) -> None:
    written = to_yaml({"a": [text], "b": {"c": text}, "d": 1})

    assert yaml.safe_load(written) == {"a": [text], "b": {"c": text}, "d": 1}
    assert len(written.splitlines()) == 5
    first = written.split("\n")[1].removeprefix("- ")
    assert first[0] in "\"'" or first[0].isalpha()  # never what YAML 1.2 reads as a number


def test_each_metric_is_one_result_of_its_task_data_set_and_split() -> None:
    found = results_of(
        retrieval_on("pets"),
        retrieval_on("pets", name="pets-2"),
        metrics=(
            metric("retrieval/pets/split/text_to_image/recall_at_1", 0.375),
            metric("retrieval/pets-2/split/mean_recall"),
        ),
    )

    name, read = model_index_to_eval_results(model_index("Tiny", found))

    assert name == "Tiny"
    assert read[0] == EvalResult(
        task_type="image-text-retrieval",
        task_name="retrieval",
        dataset_type="pets",
        dataset_name="pets",
        dataset_split="val",
        dataset_args={"kind": "karpathy", "sha256": "sha of pets"},
        metric_type="recall_at_1",
        metric_name="retrieval/pets/split/text_to_image/recall_at_1",
        metric_value=0.375,
        metric_args={"low": 0.25, "high": 0.75, "chance": 0.125, "n": 6},
    )
    assert [each.metric_name for each in read] == [each.name for each in found.metrics]


def test_means_over_all_tasks_of_a_kind_are_an_entry_of_their_own() -> None:
    tasks = finished({name: [0.5] for name in ALL})
    own = tuple(each for task in tasks for each in task.results.under(f"vtab/{task.name}"))
    of_all = tuple(means(tasks))
    whole = tasks[0].results.tasks
    found = results_of(*whole, metrics=(*own, *of_all))

    _, read = model_index_to_eval_results(model_index("Tiny", found))

    overall = [each for each in read if each.dataset_type == "vtab"]
    assert [each.metric_name for each in overall] == [each.name for each in of_all]
    assert {each.task_type for each in read} == {"image-classification"}
    top = [each for each in read if str(each.metric_name).endswith("/top_1")]
    assert {each.metric_type for each in top} == {"accuracy"}
    assert {each.dataset_split for each in top} == {"test"}
