"""The model card of a real evaluation, as the hub's parser and a Markdown parser read it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from PIL import Image
from read_cards import HOSTILE, headings_of, links_of, rows_of, tokens_of
from squares import config_of, run_stage

from openalign.evaluate import results
from openalign.evaluate.cards import model_card
from openalign.evaluate.config import result_settings
from openalign.evaluate.tasks.contract import name_of
from openalign.files.manifest import Manifest
from openalign.run.config import ReportConfig, load_pipeline

PAPER = "https://arxiv.org/abs/2102.05918"
ONE_LINE = " ".join(HOSTILE.split())


@pytest.fixture(scope="module")
def folder(
    model_folder: str, shared_benchmark: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the squares with queries of an odd kind, and `evaluate/` of a model on them."""
    folder = tmp_path_factory.mktemp("measured")
    shutil.copytree(shared_benchmark, folder, dirs_exist_ok=True)
    query = {"image": "red.png", "plus": "green", "target": "green.png", "kind": "a | *b* <i> `c"}
    (folder / "composed.json").write_text(json.dumps({"queries": [query]}))
    for name in ("red.png", "blue.png"):
        (folder / "images" / name).unlink()
    (folder / "composed.json").write_text(json.dumps({"queries": [query | {"image": "gray.png"}]}))
    run_stage(
        folder,
        config_of(folder, allow_missing=True),
        model=model_folder,
        output=folder / "evaluate",
    )
    return folder


def write(folder: Path, output: Path, **changes: Any) -> ModelCard:
    values: dict[str, Any] = {
        "train": None,
        "title": "Tiny",
        "license": "",
        "credits": (),
    } | changes
    file = model_card.write(evaluated=str(folder / "evaluate"), output=str(output), **values)
    text = (output / "model-card" / "README.md").read_text()
    assert (file.name, file.num_bytes) == ("model-card/README.md", len(text.encode()))
    return ModelCard(text)


def test_the_hub_reads_its_metadata_and_every_number(folder: Path, tmp_path: Path) -> None:
    found = results.read(str(folder / "evaluate" / "results.json"))

    card = write(folder, tmp_path)

    data = card.data.to_dict()
    assert (data["library_name"], data["pipeline_tag"]) == (
        "transformers",
        "zero-shot-image-classification",
    )
    assert "align" in data["tags"]
    assert "license" not in data
    assert card.data["model_name"] == "Tiny"
    read = {each.metric_name: each for each in card.data["eval_results"]}
    assert list(read) == [metric.name for metric in found.metrics]
    for metric in found.metrics:
        assert read[metric.name].metric_value == metric.value
    retrieval = read["retrieval/squares/split/text_to_image/recall_at_1"]
    assert (retrieval.dataset_type, retrieval.dataset_split) == ("squares", "test")
    assert retrieval.dataset_args == {
        "kind": "karpathy",
        "sha256": found.hashes["dataset/squares"],
    }


def test_every_number_stands_beside_its_interval_chance_and_queries(
    folder: Path, tmp_path: Path
) -> None:
    found = results.read(str(folder / "evaluate" / "results.json"))

    card = write(folder, tmp_path)

    rows = rows_of(card.text, "metric")
    assert len(rows) == len(found.metrics)
    recall = found.metric("retrieval/squares/split/text_to_image/recall_at_1")
    row = next(each for each in rows if each[0] == "split/text_to_image/recall_at_1")
    expected = (recall.value, recall.low, recall.high, recall.chance)
    assert [float(number) for number in re.findall(r"[\d.]+", " ".join(row[1:4]))] == [
        pytest.approx(number, rel=1e-3) for number in expected
    ]
    assert row[4] == str(recall.n) == "8"  # red, one of five of `test`, is missing
    assert "Captions search the 4 images of split test, and images its 8 captions." in card.text
    assert "weighted 1 : 2 : 2. The gallery holds the 6 images but the query's own." in card.text
    assert "**Images of squares that were left out: missing 2.**" in card.text
    assert headings_of(card.text)[:4] == [
        "Tiny",
        "Numbers",
        "retrieval on squares, split test",
        "composed on squares (edits)",
    ]


def test_texts_of_settings_and_data_sets_are_texts_and_nothing_else(
    folder: Path, tmp_path: Path
) -> None:
    plain = write(folder, tmp_path / "plain", credits=("a",))
    card = write(folder, tmp_path / "hostile", title=HOSTILE, credits=(HOSTILE,))

    assert card.data["model_name"] == HOSTILE
    assert card.data["license"] is None
    assert headings_of(card.text) == [ONE_LINE, *headings_of(plain.text)[1:]]
    assert links_of(card.text) == {PAPER}
    kinds = [[token.type for token in tokens_of(each.text)] for each in (plain, card)]
    assert [kind for kind in kinds[0] if kind not in ("text", "text_special")] == [
        kind for kind in kinds[1] if kind not in ("text", "text_special")
    ]
    rows = rows_of(card.text, "metric")
    assert "a | *b* <i> 'c/combined/top_1" in [row[0] for row in rows]
    assert {len(row) for row in rows} == {6}


def test_a_license_is_named_only_where_it_is_known(folder: Path, tmp_path: Path) -> None:
    assert write(folder, tmp_path, license="apache-2.0").data["license"] == "apache-2.0"


@pytest.mark.parametrize("license_id", ["Apache 2.0", "mit\nname: x", "[mit]"])
def test_a_license_that_is_no_identifier_is_refused(license_id: str) -> None:
    with pytest.raises(ValueError, match="license must be an identifier of the hub such as apach"):
        ReportConfig(license=license_id)


def test_a_checkpoint_of_others_is_not_said_to_be_trained_here(
    folder: Path, tmp_path: Path
) -> None:
    text = write(folder, tmp_path).text

    assert "measured\nhere and not trained here" in text
    assert "## Training" not in text
    assert "data card" not in text


def test_training_is_told_with_its_facts_and_settings(folder: Path, tmp_path: Path) -> None:
    train = Manifest(
        stage="train",
        schema_version=1,
        fingerprint="f",
        settings={"settings": {"note": "```\n# no heading", "global_batch_size": 16}},
        inputs={},
        num_inputs=12_140,
        states={"trained_on": 2000, "never_drawn": 10_140},
        num_outputs=2000,
        files=[],
        facts={"steps": 125, "skipped_steps": 1, "sample_hash": "5a", "vocabulary_size": 3513},
    )

    text = write(folder, tmp_path, train=train).text

    assert "trained on\n12,140 pairs of images and alt-texts" in text
    assert rows_of(text, "what") == [
        ["pairs", "12,140"],
        ["pairs that were drawn at least once", "2,000"],
        ["updates", "125"],
        ["updates that were skipped, because a loss or gradient was not finite", "1"],
        ["word pieces in the vocabulary", "3,513"],
        ["hash of the order of all pairs", "5a"],
    ]
    assert '"global_batch_size": 16' in text
    assert "no heading" not in headings_of(text)


def test_a_smoke_run_is_said_to_be_one(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    output = benchmark_folder / "evaluate"
    config = config_of(benchmark_folder, fast=True)
    run_stage(benchmark_folder, config, model=model_folder, output=output)

    assert "**This was a smoke run" in write(benchmark_folder, tmp_path).text


def test_the_same_results_give_the_same_bytes_without_a_place(folder: Path, tmp_path: Path) -> None:
    first = write(folder, tmp_path / "a").content
    moved = shutil.copytree(folder, tmp_path / "moved")

    assert write(moved, tmp_path / "b").content == first
    assert str(folder) not in first


def test_the_settings_in_the_card_measure_the_same(folder: Path, tmp_path: Path) -> None:
    found = results.read(str(folder / "evaluate" / "results.json"))

    (recipe,) = re.findall(r"```yaml\n(.*?)```", write(folder, tmp_path).text, re.DOTALL)

    pipelines = yaml.safe_load(recipe)
    pipelines["again"]["benchmarks"]["squares"]["path"] = str(folder / "dataset.json")
    pipelines["again"]["evaluate"]["tasks"][1]["path"] = str(folder / "composed.json")
    path = tmp_path / "pipelines.yaml"
    path.write_text(yaml.safe_dump(pipelines))
    config = load_pipeline(str(path), "again")
    assert config.evaluate.model == "FOLDER"
    assert [name_of(task) for task in config.evaluate.tasks] == ["squares", "edits"]
    again = result_settings(config.evaluate, config.benchmarks)
    assert json.loads(json.dumps(again)) == found.settings


def test_the_program_in_the_card_runs(
    folder: Path,
    model_folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", write(folder, tmp_path).text, re.DOTALL)
    Image.new("RGB", (50, 40), "red").save(tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)

    exec(program.replace("FOLDER", model_folder), {})  # what the card tells to run

    assert re.search(r"tensor\(\[\[0\.\d+, 0\.\d+\]\]\)", capsys.readouterr().out)
