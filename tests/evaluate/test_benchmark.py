"""The whole stage, on a tiny model and eight painted squares."""

import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from openalign.errors import InputError, StageError
from openalign.evaluate import benchmark, examples, results
from openalign.evaluate.config import ComposedQueries, EvaluateConfig, KarpathyDataset
from openalign.evaluate.encoder import Encoder
from openalign.evaluate.search.query import Query, search
from openalign.files.facts import EvaluateFacts
from openalign.files.manifest import StageResult


def config_of(folder: Path, **settings: object) -> EvaluateConfig:
    dataset = KarpathyDataset(
        name="squares", path=f"{folder}/dataset.json", images=f"{folder}/pictures"
    )
    queries = ComposedQueries(name="edits", path=f"{folder}/composed.json")
    values: dict[str, object] = {
        "datasets": (dataset,),
        "composed": (queries,),
        "bootstrap_resamples": 20,
        "batch_size": 3,
    }
    return EvaluateConfig(**(values | settings))  # pyright: ignore[reportArgumentType]


def run(config: EvaluateConfig, model: str, output: Path) -> StageResult:
    return benchmark.run(config, model=model, output=str(output), work=str(output / "work"))


@pytest.fixture
def done(benchmark_folder: Path, model_folder: str, tmp_path: Path) -> tuple[Path, StageResult]:
    output = tmp_path / "site" / "evaluate"
    return output, run(config_of(benchmark_folder), model_folder, output)


def test_every_file_it_names_is_there_and_every_picture_is_accounted_for(
    done: tuple[Path, StageResult],
) -> None:
    output, result = done

    assert (result.num_inputs, result.num_outputs) == (8, 8)
    assert sum(result.states.values()) == result.num_inputs
    assert sorted(file.name for file in result.files) == [
        "embeddings/chunks.json",
        "embeddings/edits-words.npy",
        "embeddings/squares-captions.npy",
        "embeddings/squares-images.npy",
        "examples.json",
        "results.json",
        "search/items.parquet",
        "thumbnails.parquet",
    ]
    for file in result.files:
        assert (output / file.name).stat().st_size == file.num_bytes


def test_a_picture_of_two_data_sets_is_found_once(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    first = config_of(benchmark_folder).datasets[0]
    second = replace(first, name="others")
    config = config_of(benchmark_folder, composed=(), datasets=(first, second))

    run(config, model_folder, tmp_path / "evaluate")
    hits = search(
        str(tmp_path / "evaluate"), model=model_folder, query=Query(text="red square"), k=8
    )

    assert len({hit.path for hit in hits}) == 8
    assert {hit.key.partition("/")[0] for hit in hits} == {"squares"}


def test_embeddings_are_those_of_the_encoder_in_the_files_order(
    done: tuple[Path, StageResult], benchmark_folder: Path, model_folder: str
) -> None:
    images = np.load(done[0] / "embeddings" / "squares-images.npy")
    captions = np.load(done[0] / "embeddings" / "squares-captions.npy")

    encoder = Encoder.load(model_folder)
    green = (benchmark_folder / "pictures" / "green.png").read_bytes()
    np.testing.assert_allclose(images[1], encoder.embed_images([green])[0], atol=1e-5)
    np.testing.assert_allclose(captions[2], encoder.embed_texts(["a green square"])[0], atol=1e-5)
    assert captions.shape[0] == 16


def test_results_say_what_was_measured_on_what(done: tuple[Path, StageResult]) -> None:
    found = results.read(str(done[0] / "results.json"))

    facts = found.datasets[0]
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
    for picture in in_split:
        for caption in (2 * picture, 2 * picture + 1):
            own = images[picture] @ captions[caption]
            others = [images[o] @ captions[caption] for o in in_split if o != picture]
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

    again = run(config_of(benchmark_folder), model_folder, done[0])

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

    again = benchmark.run(
        config, model=model_folder, output=str(output), work=f"{output}/work", previous=str(done[0])
    )

    before, after = (
        {file.name: file.sha256 for file in result.files if file.name.startswith("embeddings/")}
        for result in (done[1], again)
    )
    assert after == before


def test_an_index_of_another_model_is_not_searched(
    done: tuple[Path, StageResult], model_folder: str, tmp_path: Path
) -> None:
    other = shutil.copytree(model_folder, tmp_path / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-4] ^= 1  # the last bit of the last weight
    (other / "model.safetensors").write_bytes(weights)

    with pytest.raises(InputError, match="was made with another model than") as caught:
        search(str(done[0]), model=str(other), query=Query(text="red"), k=1)

    assert caught.value.hint == "run `openalign evaluate`"


def test_pictures_that_were_moved_are_found_where_the_caller_says(
    done: tuple[Path, StageResult], model_folder: str
) -> None:
    hits = search(
        str(done[0]),
        model=model_folder,
        query=Query(text="red"),
        k=1,
        folders={"squares": "/moved"},
    )

    assert hits[0].path == f"/moved/{hits[0].key.removeprefix('squares/')}"


def test_a_run_from_nothing_gives_the_same_bytes(
    done: tuple[Path, StageResult], benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    moved = shutil.copytree(benchmark_folder, tmp_path / "elsewhere" / "squares")

    again = run(config_of(moved), model_folder, tmp_path / "elsewhere" / "evaluate")

    assert list(again.files) == list(done[1].files)


def test_examples_name_the_right_picture_and_their_pictures_are_there(
    done: tuple[Path, StageResult],
) -> None:
    shown = examples.read(str(done[0] / "examples.json"))
    small = examples.read_thumbnails(str(done[0] / "thumbnails.parquet"))

    asked = shown.datasets[0].text_to_image
    assert {query.caption for query in asked} >= {"a red square", "red <b>&amp; big"}
    for query in asked:
        assert query.caption.removeprefix("a ").startswith(query.image.removesuffix(".png"))
        if query.image in query.first and query.rank <= 5:
            assert query.first[query.rank - 1] == query.image
    assert len(shown.composed[0].queries) == 3
    for query in shown.composed[0].queries:
        assert query.image not in query.first
    for dataset, names in shown.pictures().items():
        assert {(dataset, name) for name in names} <= set(small)
    assert small["squares", "red.png"].caption == "a red square"


def test_the_number_of_examples_is_bounded(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    run(config_of(benchmark_folder, num_examples=2), model_folder, tmp_path / "out")

    shown = examples.read(str(tmp_path / "out" / "examples.json"))

    assert len(shown.datasets[0].text_to_image) == 2
    assert len(shown.datasets[0].image_to_text) == 2
    assert len(shown.composed[0].queries) == 2


def test_search_finds_the_pictures_it_embedded(
    done: tuple[Path, StageResult], benchmark_folder: Path, model_folder: str
) -> None:
    output = str(done[0])
    picture = benchmark_folder / "pictures" / "red.png"
    copy = benchmark_folder / "copy.png"
    shutil.copy(picture, copy)

    by_copy = search(output, model=model_folder, query=Query(image=str(copy)), k=3)
    by_itself = search(output, model=model_folder, query=Query(image=str(picture)), k=7)

    assert by_copy[0].key == "squares/red.png"
    assert by_copy[0].score == pytest.approx(1.0, abs=1e-5)
    assert Path(by_copy[0].path).read_bytes() == picture.read_bytes()
    assert "squares/red.png" not in [hit.key for hit in by_itself]
    assert len(by_itself) == 7


def test_nothing_to_evaluate_is_said_with_an_example(model_folder: str, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"`evaluate\.datasets` is empty") as caught:
        run(EvaluateConfig(), model_folder, tmp_path)

    assert caught.value.hint is not None
    assert "kind: karpathy" in caught.value.hint


def test_a_split_that_is_not_there_is_named(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    dataset = KarpathyDataset(
        name="squares",
        path=f"{benchmark_folder}/dataset.json",
        images=f"{benchmark_folder}/pictures",
        split="dev",
    )

    with pytest.raises(InputError, match="no image is in split `dev`"):
        run(EvaluateConfig(datasets=(dataset,)), model_folder, tmp_path)


def test_a_split_that_is_all_there_is_has_one_gallery(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    dataset = KarpathyDataset(
        name="squares",
        path=f"{benchmark_folder}/dataset.json",
        images=f"{benchmark_folder}/pictures",
        gallery_splits=("test",),
    )

    run(EvaluateConfig(datasets=(dataset,), bootstrap_resamples=5), model_folder, tmp_path)

    found = results.read(str(tmp_path / "results.json"))
    assert found.under("retrieval/squares/gallery") == []
    assert found.datasets[0].num_gallery_images == 5


def test_the_headline_says_direction_numbers_and_chance(done: tuple[Path, StageResult]) -> None:
    facts = done[1].facts
    assert isinstance(facts, EvaluateFacts)
    first = facts.headline[0]

    assert first.startswith("squares test, text to image: R@1/5/10 ")
    assert first.endswith("(chance 20.0 / 100.0 / 100.0; 5 pictures)")
