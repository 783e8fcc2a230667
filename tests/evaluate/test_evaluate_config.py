import pytest

from openalign.errors import ConfigError
from openalign.evaluate.config import EvaluateConfig, benchmarks_used, result_settings
from openalign.evaluate.datasets.captions.karpathy import KarpathyDataset
from openalign.evaluate.tasks.composed.composed import ComposedTask
from openalign.evaluate.tasks.contract import QueryWeights
from openalign.evaluate.tasks.kinds import query_weights
from openalign.evaluate.tasks.retrieval.retrieval import RetrievalTask
from openalign.settings.fields import identity
from openalign.settings.yaml_reader import Place, compose

DATASET = KarpathyDataset(path="dataset.json")
TASK = RetrievalTask(benchmark="flickr")


def test_the_defaults_are_the_papers() -> None:
    queries = ComposedTask(benchmark="flickr", path="composed.json")

    assert (queries.image_weight, queries.plus_weight, queries.minus_weight) == (1.0, 2.0, 2.0)
    assert DATASET.max_captions == 5


def test_where_a_benchmark_lies_is_not_part_of_what_it_is() -> None:
    here = KarpathyDataset(path="/here/dataset.json", images="/here/images")

    assert identity(here) == identity(DATASET)


def test_a_result_depends_on_the_benchmarks_that_tasks_name_and_on_no_other() -> None:
    benchmarks = {"coco": DATASET, "flickr": KarpathyDataset(path="a", max_captions=1)}
    config = EvaluateConfig(tasks=(TASK,))

    assert list(benchmarks_used(config, benchmarks)) == ["flickr"]
    assert result_settings(config, benchmarks)["benchmarks"] == {
        "flickr": {"kind": "karpathy", "max_captions": 1}
    }


def test_a_task_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="name must be lower-case"):
        RetrievalTask(name="Flickr 30K", benchmark="flickr")


def test_tasks_of_two_kinds_may_share_a_name() -> None:
    edits = ComposedTask(name="flickr", benchmark="flickr", path="a")

    assert len(EvaluateConfig(tasks=(TASK, edits)).tasks) == 2


def test_an_image_without_captions_is_no_use() -> None:
    with pytest.raises(ValueError, match="max_captions must be above 0, got 0"):
        KarpathyDataset(path="a", max_captions=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            {"tasks": (TASK, TASK)}, "different names, got retrieval/flickr twice", id="same name"
        ),
        pytest.param(
            {"tasks": (TASK, RetrievalTask(name="flickr", benchmark="coco"))},
            "different names, got retrieval/flickr twice",
            id="a name that is another's benchmark",
        ),
        pytest.param({"confidence": 1.0}, "below 1, got 1.0", id="certainty"),
        pytest.param({"confidence": 0.0}, "above 0", id="no confidence"),
        pytest.param({"bootstrap_resamples": 0}, "above 0, got 0", id="no resamples"),
        pytest.param({"batch_size": -1}, "not be negative, got -1", id="batches of less"),
        pytest.param({"max_bad_images": -1}, "not be negative, got -1", id="fewer than none"),
        pytest.param({"num_processes": -1}, "not be negative, got -1", id="no process"),
        pytest.param({"decode_threads": 0}, "above 0, got 0", id="nobody decodes"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluateConfig(**settings)  # pyright: ignore[reportArgumentType]


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"minus_weight must not be negative, got -1\.0"):
        ComposedTask(benchmark="a", path="a", minus_weight=-1.0)


def test_search_weighs_as_the_first_task_that_has_weights_and_else_as_the_paper() -> None:
    first = ComposedTask(benchmark="a", path="a", plus_weight=0.5)
    second = ComposedTask(name="b", benchmark="a", path="a", plus_weight=9.0)

    assert query_weights([TASK, first, second]) == QueryWeights(image=1.0, plus=0.5, minus=2.0)
    assert query_weights([TASK]) == QueryWeights(image=1.0, plus=2.0, minus=2.0)


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        pytest.param("datasets: []", "datasets", "under `benchmarks:`", id="data sets"),
        pytest.param("composed: []", "composed", "kind: composed", id="composed queries"),
        pytest.param(
            "tasks: [{kind: composed, path: a, dataset: b}]",
            r"tasks\[0\].dataset",
            "write `benchmark: NAME`",
            id="the data set of composed queries",
        ),
    ],
)
def test_an_old_key_names_the_new_one(text: str, key: str, hint: str) -> None:
    node = compose(text, "p.yaml")
    assert node is not None

    with pytest.raises(ConfigError, match=f"`{key}` is no longer a setting") as caught:
        Place("p.yaml", "").read(EvaluateConfig, node)

    assert hint in str(caught.value.hint)
