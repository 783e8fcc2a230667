"""The whole stage, on a tiny model and eight painted squares."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from squares import RETRIEVAL, benchmarks_of, config_of, run_stage

from openalign.errors import InputError, StageError
from openalign.evaluate import results, stage
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.drawing.thumbnails import read_thumbnails
from openalign.evaluate.embedding.encoder import Encoder
from openalign.evaluate.metrics.resampled import read_resamples
from openalign.evaluate.results import as_record
from openalign.evaluate.search.query import Query
from openalign.evaluate.search.searcher import Searcher
from openalign.evaluate.tasks.composed.composed import ComposedExamples
from openalign.evaluate.tasks.retrieval.retrieval import (
    RetrievalExamples,
    RetrievalFacts,
    RetrievalTask,
)
from openalign.files.facts import EvaluateFacts
from openalign.files.manifest import StageResult
from openalign.files.sealed import SealedFiles
from openalign.train.data.words import SPECIAL_TOKENS


def test_every_file_it_names_is_there_and_every_image_is_accounted_for(
    done: tuple[Path, StageResult],
) -> None:
    output, result = done

    assert (result.num_inputs, result.num_outputs) == (8, 8)
    assert sum(result.states.values()) == result.num_inputs
    assert sorted(file.name for file in result.files) == [
        "embeddings/chunks.json",
        "embeddings/composed-edits-words.npy",
        "embeddings/squares-captions.npy",
        "embeddings/squares-images.npy",
        "examples.json",
        "image_map.json",
        "resamples.parquet",
        "results.json",
        "search/items.parquet",
        "thumbnails.parquet",
    ]
    for file in result.files:
        assert (output / file.name).stat().st_size == file.num_bytes


def with_words(model: str, folder: Path, words: Sequence[str]) -> str:
    """Return a copy of a model whose tokenizer has other words."""
    shutil.copytree(model, folder)
    file = folder / "tokenizer.json"
    saved = json.loads(file.read_text())
    saved["model"]["vocab"] = {w: n for n, w in enumerate([*SPECIAL_TOKENS, *words])}
    file.write_text(json.dumps(saved))
    return str(folder)


def test_a_tokenizer_without_the_models_words_ends_an_evaluation(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    model = with_words(model_folder, tmp_path / "broken", ["日", "本"])

    with pytest.raises(InputError, match="it has 7 tokens, and the model 18 ids") as refused:
        run_stage(
            benchmark_folder, config_of(benchmark_folder), model=model, output=tmp_path / "out"
        )

    assert f"the tokenizer in {model} does not know" in str(refused.value)
    assert "'a red square', stand for words" in str(refused.value)


def test_texts_in_another_script_than_the_models_are_measured_with_a_warning(
    benchmark_folder: Path, model_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = with_words(model_folder, tmp_path / "other", list("日本語中文字漢仮名犬猫"))

    result = run_stage(
        benchmark_folder, config_of(benchmark_folder), model=model, output=tmp_path / "out"
    )

    line = "numbers of squares-captions say little: 100% of the tokens of these texts stand for"
    assert isinstance(result.facts, EvaluateFacts)
    assert result.facts.headline[0].startswith(line)
    assert f"evaluate  {line}" in capsys.readouterr().err


def test_every_interval_is_of_the_resamples_that_are_kept(
    done: tuple[Path, StageResult],
) -> None:
    found = results.read(str(done[0] / "results.json"))
    resamples = read_resamples(str(done[0] / "resamples.parquet"))

    assert list(resamples) == [metric.name for metric in found.metrics]
    for metric in found.metrics:
        ends = np.quantile(resamples[metric.name], [0.025, 0.975])
        assert (metric.low, metric.high) == pytest.approx(tuple(ends))


def test_an_image_of_two_benchmarks_is_found_once(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    squares = benchmarks_of(benchmark_folder)["squares"]
    config = EvaluateConfig(
        tasks=(RETRIEVAL, replace(RETRIEVAL, benchmark="others")), bootstrap_resamples=5
    )
    output = f"{tmp_path}/evaluate"

    stage.run(
        config,
        {"squares": squares, "others": squares},
        model=model_folder,
        output=output,
        work=f"{output}/work",
    )
    hits = Searcher.open(output, model=model_folder).find(Query(text="red square"), 8)

    assert len({hit.path for hit in hits}) == 8
    assert {hit.key.partition("/")[0] for hit in hits} == {"squares"}


def test_tasks_share_the_embeddings_of_their_benchmark(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    on_val = RetrievalTask(name="on-val", benchmark="squares", split="val")
    config = config_of(benchmark_folder, tasks=(RETRIEVAL, on_val))

    result = run_stage(benchmark_folder, config, model=model_folder, output=tmp_path)

    assert [file.name for file in result.files if file.name.endswith(".npy")] == [
        "embeddings/squares-images.npy",
        "embeddings/squares-captions.npy",
    ]
    assert result.num_outputs == 8
    found = results.read(str(tmp_path / "results.json"))
    assert [task.name for task in found.tasks] == ["squares", "on-val"]
    assert found.metric("retrieval/on-val/split/text_to_image/recall_at_1").n == 2
    assert found.metric("retrieval/on-val/gallery/text_to_image/recall_at_1").chance == 1 / 8


def test_only_the_images_that_some_task_needs_are_embedded(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    # Five squares are in test, one is in val, two are in train.
    first = replace(RETRIEVAL, gallery_splits=("test",))
    second = replace(RETRIEVAL, name="on-val", split="val", gallery_splits=("val",))
    config = config_of(benchmark_folder, tasks=(first, second))

    result = run_stage(benchmark_folder, config, model=model_folder, output=tmp_path)

    assert result.num_outputs == 6
    found = results.read(str(tmp_path / "results.json"))
    assert [task.facts["num_gallery_images"] for task in found.tasks] == [5, 1]
    assert found.under("retrieval/squares/gallery") == []


def test_captions_that_no_task_needs_are_not_embedded(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    config = config_of(benchmark_folder)

    result = run_stage(
        benchmark_folder,
        replace(config, tasks=config.tasks[1:]),
        model=model_folder,
        output=tmp_path,
    )

    assert [file.name for file in result.files if file.name.endswith(".npy")] == [
        "embeddings/squares-images.npy",
        "embeddings/composed-edits-words.npy",
    ]


def test_embeddings_are_those_of_the_encoder_in_the_files_order(
    done: tuple[Path, StageResult], benchmark_folder: Path, model_folder: str
) -> None:
    images = np.load(done[0] / "embeddings" / "squares-images.npy")
    captions = np.load(done[0] / "embeddings" / "squares-captions.npy")

    encoder = Encoder.load(model_folder)
    green = (benchmark_folder / "images" / "green.png").read_bytes()
    np.testing.assert_allclose(images[1], encoder.embed_images([green])[0], atol=1e-5)
    np.testing.assert_allclose(captions[2], encoder.embed_texts(["a green square"])[0], atol=1e-5)
    assert captions.shape[0] == 16


def test_results_say_what_was_measured_on_what(done: tuple[Path, StageResult]) -> None:
    found = results.read(str(done[0] / "results.json"))

    facts = as_record(found.tasks[0].facts, RetrievalFacts, of="facts")
    assert (facts.num_images, facts.num_captions) == (5, 10)
    assert (facts.num_gallery_images, facts.num_gallery_captions) == (8, 16)
    assert facts.gallery_splits == ("test", "train", "val")
    recall = found.metric("retrieval/squares/split/text_to_image/recall_at_1")
    assert (recall.n, recall.chance) == (10, pytest.approx(0.2))
    own_of_two = found.metric("retrieval/squares/gallery/image_to_text/recall_at_1")
    assert (own_of_two.n, own_of_two.chance) == (5, pytest.approx(2 / 16))
    assert found.metric("composed/edits/hue/combined/top_1").n == 2
    assert found.metric("composed/edits/tone/combined/top_1").n == 1
    assert set(found.hashes) == {"weights", "preprocess", "dataset/squares"}
    assert found.libraries["openalign"] == version("openalign")


def test_results_hold_no_place_of_this_machine(
    done: tuple[Path, StageResult], tmp_path: Path
) -> None:
    for file in done[1].files:
        assert str(tmp_path).encode() not in (done[0] / file.name).read_bytes()


def test_the_recall_is_that_of_a_slow_count_over_the_written_embeddings(
    done: tuple[Path, StageResult],
) -> None:
    images = np.load(done[0] / "embeddings" / "squares-images.npy").astype(float)
    captions = np.load(done[0] / "embeddings" / "squares-captions.npy").astype(float)
    in_split = [0, 1, 3, 5, 6]
    hits = 0
    for image in in_split:
        for caption in (2 * image, 2 * image + 1):
            own = images[image] @ captions[caption]
            others = [images[o] @ captions[caption] for o in in_split if o != image]
            hits += all(own > other + 1e-6 for other in others)

    found = results.read(str(done[0] / "results.json"))

    assert found.metric("retrieval/squares/split/text_to_image/recall_at_1").value == hits / 10


def test_a_second_run_gives_the_same_bytes_without_a_forward_pass(
    done: tuple[Path, StageResult],
    benchmark_folder: Path,
    model_folder: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuse_forward_passes(monkeypatch)

    config = config_of(benchmark_folder)
    again = run_stage(benchmark_folder, config, model=model_folder, output=done[0])

    assert list(again.files) == list(done[1].files)


def refuse_forward_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("the embeddings that are there should have been used")

    monkeypatch.setattr(torch.nn.Module, "__call__", refuse)


def test_other_intervals_and_examples_need_no_forward_pass(
    done: tuple[Path, StageResult],
    benchmark_folder: Path,
    model_folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.rmtree(done[0] / "work")  # as sealing does
    refuse_forward_passes(monkeypatch)
    output = tmp_path / "site" / "again"
    config = config_of(benchmark_folder, confidence=0.5, num_examples=2)

    again = stage.run(
        config,
        benchmarks_of(benchmark_folder),
        model=model_folder,
        output=str(output),
        work=f"{output}/work",
        previous=SealedFiles(str(done[0]), list(done[1].files)),
    )

    before, after = (
        {file.name: file.sha256 for file in result.files if file.name.startswith("embeddings/")}
        for result in (done[1], again)
    )
    assert after == before


def test_a_run_from_nothing_gives_the_same_bytes(
    done: tuple[Path, StageResult], benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    moved = shutil.copytree(benchmark_folder, tmp_path / "elsewhere" / "squares")

    output = tmp_path / "elsewhere" / "evaluate"
    again = run_stage(moved, config_of(moved), model=model_folder, output=output)

    assert list(again.files) == list(done[1].files)


def read_examples(output: Path) -> tuple[RetrievalExamples, ComposedExamples]:
    found = results.read_examples(str(output / "examples.json"))
    return (
        as_record(found["retrieval/squares"], RetrievalExamples, of="squares"),
        as_record(found["composed/edits"], ComposedExamples, of="edits"),
    )


def test_examples_name_the_right_image_and_their_images_are_there(
    done: tuple[Path, StageResult],
) -> None:
    retrieval, composed = read_examples(done[0])
    small = read_thumbnails(str(done[0] / "thumbnails.parquet"))

    assert {query.caption for query in retrieval.text_to_image} >= {
        "a red square",
        "red <b>&amp; big",
    }
    for query in retrieval.text_to_image:
        assert query.caption.removeprefix("a ").startswith(query.image.removesuffix(".png"))
        if query.image in query.first and query.rank <= 5:
            assert query.first[query.rank - 1] == query.image
        assert {("squares", name) for name in (query.image, *query.first)} <= set(small)
    assert len(composed.queries) == 3
    for query in composed.queries:
        assert query.image not in query.first
        shown = (query.image, query.target, *query.first)
        assert {("squares", name) for name in shown} <= set(small)
    assert small["squares", "red.png"].caption == "a red square"


def test_the_number_of_examples_is_bounded(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    config = config_of(benchmark_folder, num_examples=2)

    run_stage(benchmark_folder, config, model=model_folder, output=tmp_path / "out")

    retrieval, composed = read_examples(tmp_path / "out")
    assert len(retrieval.text_to_image) == 2
    assert len(retrieval.image_to_text) == 2
    assert len(composed.queries) == 2


def test_nothing_to_evaluate_is_said_with_an_example(model_folder: str, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"`evaluate\.tasks` is empty") as caught:
        run_stage(tmp_path, EvaluateConfig(), model=model_folder, output=tmp_path)

    assert caught.value.hint is not None
    assert "kind: retrieval" in caught.value.hint


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(replace(RETRIEVAL, split="dev"), id="of the queries"),
        pytest.param(replace(RETRIEVAL, gallery_splits=("dev",)), id="of the gallery"),
    ],
)
def test_a_split_that_is_not_there_is_named_before_anything_is_loaded(
    task: RetrievalTask, benchmark_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="`squares`: no image is in split `dev`") as caught:
        run_stage(
            benchmark_folder, EvaluateConfig(tasks=(task,)), model="no model", output=tmp_path
        )

    assert caught.value.hint == "splits are: test, train, val"


def test_the_headline_says_direction_numbers_and_chance(done: tuple[Path, StageResult]) -> None:
    facts = done[1].facts
    assert isinstance(facts, EvaluateFacts)
    lines = facts.headline

    assert lines[0].startswith("squares test, text to image: R@1/5/10 ")
    assert lines[0].endswith("(chance 20.0 / 100.0 / 100.0; 5 images)")
    assert [line.partition(",")[0] for line in lines[2:]] == ["edits/hue", "edits/tone"]


def test_the_headline_says_how_much_depends_on_ties(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    """All images are one image: each of the five test captions ties with all, R@1 is 1/5."""
    images = sorted((benchmark_folder / "images").iterdir())
    for image in images[1:]:
        shutil.copy(images[0], image)
    config = EvaluateConfig(tasks=(RETRIEVAL,), bootstrap_resamples=5)

    facts = run_stage(benchmark_folder, config, model=model_folder, output=tmp_path / "out").facts

    assert isinstance(facts, EvaluateFacts)
    found = results.read(f"{tmp_path}/out/results.json")
    by_hand = found.metric("retrieval/squares/split/text_to_image/recall_at_1")
    assert (by_hand.value, by_hand.ties_at_random) == (0.0, pytest.approx(0.2))
    assert facts.headline[-1].startswith("ties count as misses: under a random order of ties, ")
    assert facts.headline[-1].endswith(" points; the report shows both")
