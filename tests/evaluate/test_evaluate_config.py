import pytest

from openalign.evaluate.config import ComposedQueries, EvaluateConfig, KarpathyDataset
from openalign.settings.fields import identity

DATASET = KarpathyDataset(name="flickr", path="dataset.json")


def test_the_defaults_are_the_papers() -> None:
    queries = ComposedQueries(path="composed.json")

    assert (queries.image_weight, queries.plus_weight, queries.minus_weight) == (1.0, 2.0, 2.0)
    assert DATASET.max_captions == 5


def test_where_a_benchmark_lies_is_not_part_of_what_it_is() -> None:
    here = KarpathyDataset(name="flickr", path="/here/dataset.json", images="/here/pictures")

    assert identity(here) == identity(DATASET)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"name": "Flickr 30K", "path": "a"}, "name must be lower-case", id="name"),
        pytest.param({"name": "a", "path": "a", "split": ""}, "split must be named", id="split"),
        pytest.param({"name": "a", "path": "a", "max_captions": 0}, "at least 1, got 0", id="none"),
    ],
)
def test_a_data_set_that_cannot_be_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KarpathyDataset(**settings)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"datasets": (DATASET, DATASET)}, "different names", id="same name twice"),
        pytest.param(
            {"datasets": (DATASET,), "composed": (ComposedQueries(path="a", dataset="coco"),)},
            "one of flickr, got 'coco'",
            id="queries about a data set that is not there",
        ),
        pytest.param({"composed": (ComposedQueries(path="a"),)}, "one of none", id="no data set"),
        pytest.param({"confidence": 1.0}, "below 1, got 1.0", id="certainty"),
        pytest.param({"confidence": 0.0}, "above 0", id="no confidence"),
        pytest.param({"bootstrap_resamples": 0}, "at least 1", id="no resamples"),
        pytest.param({"batch_size": 0}, "at least 1", id="empty batches"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluateConfig(**settings)  # pyright: ignore[reportArgumentType]


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"minus_weight must be 0 or more, got -1\.0"):
        ComposedQueries(path="a", minus_weight=-1.0)
