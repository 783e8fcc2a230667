"""The stage on squares of which some are broken or missing, and in a hurry."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from squares import benchmarks_of, config_of, run_stage

from openalign.errors import InputError
from openalign.evaluate import plan, results, stage
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.embedding.encoder import Encoder
from openalign.evaluate.results import LeftOutImage
from openalign.evaluate.tasks import kinds
from openalign.evaluate.tasks.contract import Material, Measured, Sampling
from openalign.evaluate.tasks.retrieval import retrieval
from openalign.files.facts import EvaluateFacts
from openalign.files.manifest import StageResult


def break_image(folder: Path, name: str) -> None:
    image = folder / "images" / name
    image.write_bytes(image.read_bytes()[:-40])


def read_results(output: Path) -> results.Results:
    return results.read(str(output / "results.json"))


def headline(result: StageResult) -> list[str]:
    assert isinstance(result.facts, EvaluateFacts)
    return list(result.facts.headline)


def test_every_broken_image_is_named_before_the_stage_ends(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    break_image(benchmark_folder, "red.png")
    (benchmark_folder / "images" / "blue.png").write_bytes(b"no image")

    with pytest.raises(InputError) as caught:
        run_stage(
            benchmark_folder, config_of(benchmark_folder), model=model_folder, output=tmp_path
        )

    lines = str(caught.value).splitlines()
    assert lines[0] == "2 of 8 images cannot be used, and 0 may be left out:"
    assert lines[1].startswith(f"  squares: {benchmark_folder}/images/red.png: an image cannot be")
    assert lines[2] == (
        f"  squares: {benchmark_folder}/images/blue.png: an image cannot be decoded: "
        "its first bytes are those of no image"
    )
    assert "`evaluate.max_bad_images: 2`" in (caught.value.hint or "")


def test_broken_images_within_the_bound_are_left_out_counted_and_named(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    """With their captions, and with the queries about them."""
    whole = run_stage(
        benchmark_folder, config_of(benchmark_folder), model=model_folder, output=tmp_path / "whole"
    )
    break_image(benchmark_folder, "red.png")

    config = config_of(benchmark_folder, max_bad_images=1)
    result = run_stage(benchmark_folder, config, model=model_folder, output=tmp_path / "rest")

    assert (whole.num_inputs, whole.num_outputs) == (8, 8)
    assert (result.num_inputs, result.num_outputs) == (8, 7)
    assert result.states == {"embedded": 7, "missing": 0, "unreadable": 1}
    found = read_results(tmp_path / "rest")
    (red,) = found.left_out["squares"]
    assert (red.name, red.state) == ("red.png", "unreadable")
    assert red.reason.startswith("an image cannot be decoded: ")
    assert headline(result)[0] == (
        "1 of 8 images are left out: unreadable 1; results.json names them"
    )
    facts = found.tasks[0].facts
    assert (facts["num_images"], facts["num_captions"]) == (4, 8)  # red is one of five in `test`
    assert (facts["num_gallery_images"], facts["num_gallery_captions"]) == (7, 14)
    assert found.tasks[1].facts["num_queries"] == 1  # two of three name red.png
    for what, per_image in (("images", 1), ("captions", 2)):
        rows = np.load(tmp_path / "rest" / "embeddings" / f"squares-{what}.npy")
        of_whole = np.load(tmp_path / "whole" / "embeddings" / f"squares-{what}.npy")
        np.testing.assert_allclose(rows, of_whole[per_image:], atol=1e-6)


def test_raising_the_bound_goes_on_from_what_was_embedded(
    benchmark_folder: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound changes no byte, so it is no part of the fingerprint and of the folder's name."""
    break_image(benchmark_folder, "red.png")
    with pytest.raises(InputError, match="1 of 8 images"):
        run_stage(
            benchmark_folder, config_of(benchmark_folder), model=model_folder, output=tmp_path / "a"
        )
    loose = config_of(benchmark_folder, max_bad_images=9)
    fresh = run_stage(benchmark_folder, loose, model=model_folder, output=tmp_path / "b")
    monkeypatch.setattr(Encoder, "embed_pixels", lambda *_: pytest.fail("it embeds again"))

    config = config_of(benchmark_folder, max_bad_images=1)
    again = run_stage(benchmark_folder, config, model=model_folder, output=tmp_path / "a")

    assert list(again.files) == list(fresh.files)


def test_missing_images_end_the_stage_before_the_model_is_loaded(
    benchmark_folder: Path, tmp_path: Path
) -> None:
    for name in ("green.png", "black.png"):
        (benchmark_folder / "images" / name).unlink()

    with pytest.raises(InputError, match="`squares` lacks 2 of the 8 images that are needed"):
        run_stage(benchmark_folder, config_of(benchmark_folder), model="no model", output=tmp_path)


def test_missing_images_are_left_out_where_that_is_allowed(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    (benchmark_folder / "images" / "green.png").unlink()
    break_image(benchmark_folder, "yellow.png")

    config = config_of(benchmark_folder, allow_missing=True, max_bad_images=1)
    result = run_stage(benchmark_folder, config, model=model_folder, output=tmp_path)

    assert result.states == {"embedded": 6, "missing": 1, "unreadable": 1}
    found = read_results(tmp_path)
    assert found.left_out["squares"][0] == LeftOutImage(name="green.png", state="missing")
    assert [each.name for each in found.left_out["squares"]] == ["green.png", "yellow.png"]
    assert found.missing == {"squares": 1}
    # Of three queries, one is about green.png.
    assert found.tasks[1].facts["num_queries"] == 2


def test_the_bound_is_that_of_all_benchmarks_together(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    break_image(benchmark_folder, "red.png")
    squares = benchmarks_of(benchmark_folder)["squares"]
    tasks = tuple(
        retrieval.RetrievalTask(benchmark=name, gallery_splits=("test",)) for name in ("a", "b")
    )

    with pytest.raises(InputError, match=r"^2 of 10 images cannot be used, and 1 may be left out"):
        stage.run(
            EvaluateConfig(tasks=tasks, bootstrap_resamples=2, max_bad_images=1),
            {"a": squares, "b": squares},
            model=model_folder,
            output=str(tmp_path),
            work=f"{tmp_path}/work",
        )


def test_a_fast_run_says_so_and_tells_the_tasks(
    benchmark_folder: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "FAST_IMAGES", 1)
    told: list[bool] = []

    def measure(
        task: retrieval.RetrievalTask, material: Material, sampling: Sampling
    ) -> Measured[retrieval.RetrievalFacts, retrieval.RetrievalExamples]:
        told.append(sampling.fast)
        return retrieval.measure(task, material, sampling)

    kind = kinds.KINDS["retrieval"]
    monkeypatch.setitem(kinds.KINDS, "retrieval", replace(kind, measure=measure))
    fast = config_of(
        benchmark_folder, fast=True, tasks=(retrieval.RetrievalTask(benchmark="squares"),)
    )

    result = run_stage(benchmark_folder, fast, model=model_folder, output=tmp_path)

    assert result.num_outputs == 3  # of each of three splits one
    assert told == [True]
    assert read_results(tmp_path).settings["fast"] is True
    assert headline(result)[0] == "a fast run: numbers are of the first 64 images of each split"
