import json
from pathlib import Path

import pytest

from openalign.errors import InputError
from openalign.evaluate import results
from openalign.evaluate.results import Metric, Results, TaskResult

METRIC = Metric(
    name="retrieval/a/split/x/recall_at_1", value=0.5, low=0.4, high=0.6, n=8, chance=0.1
)
FOUND = Results(
    metrics=(METRIC,),
    tasks=(
        TaskResult(
            name="a", kind="retrieval", benchmark="b", facts={"split": "test", "num_images": 8}
        ),
    ),
    settings={"seed": 0, "tasks": [{"name": "a"}]},
    libraries={"numpy": "2.0"},
    hashes={"weights": "ab"},
)


def written(folder: Path, text: str) -> str:
    (folder / "results.json").write_text(text)
    return str(folder / "results.json")


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    assert results.read(written(tmp_path, results.to_json(FOUND))) == FOUND


def test_a_metric_is_found_by_its_name_and_its_prefix() -> None:
    assert FOUND.metric("retrieval/a/split/x/recall_at_1") is METRIC
    assert FOUND.under("retrieval/a/split/x") == [METRIC]
    assert FOUND.under("retrieval/a/split/x/recall_at") == []
    with pytest.raises(InputError, match="results hold no metric retrieval/a/split/x"):
        FOUND.metric("retrieval/a/split/x")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        pytest.param(
            "value",
            "0.5",
            r"Expected `float`, got `str` - at `\$\.metrics\[0\]\.value`",
            id="text for a number",
        ),
        pytest.param("n", 8.0, "Expected `int`, got `float`", id="float for a count"),
        pytest.param("higher_is_better", 1, "Expected `bool`, got `int`", id="number for a flag"),
        pytest.param("standard_error", 0.1, "unknown field `standard_error`", id="unknown field"),
    ],
)
def test_a_metric_of_another_form_is_refused(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    content = json.loads(results.to_json(FOUND))
    content["metrics"][0][key] = value

    with pytest.raises(InputError, match=message):
        results.read(written(tmp_path, json.dumps(content)))


def test_another_version_is_refused_with_a_way_out(tmp_path: Path) -> None:
    content = json.loads(results.to_json(FOUND)) | {"version": 1}

    with pytest.raises(InputError, match="has version 1, this program reads 5") as caught:
        results.read(written(tmp_path, json.dumps(content)))

    assert caught.value.hint == "run `openalign evaluate` again"


def test_a_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(results.to_json(FOUND).encode().replace(b'"libraries": {', b'"\xff": {', 1))

    with pytest.raises(InputError, match="does not follow version 5"):
        results.read(str(path))


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="is not a file of results"):
        results.read(written(tmp_path, text))


def test_versions_of_libraries_that_are_not_there_are_left_out() -> None:
    found = results.library_versions(("numpy", "no-such-library"))

    assert list(found) == ["numpy"]
