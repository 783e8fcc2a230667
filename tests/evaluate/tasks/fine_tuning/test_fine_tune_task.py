"""Fine-tuning as a task: what it asks for, what it says, and a run by the command."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tower_checks
import yaml
from embedded import embedded_benchmark, image_called, random_rows
from fine_tune_facts import facts_of
from rank_processes import environment
from tiny_training import COLORS, SHAPES, jpeg_of, rank_environment, start_ranks

from openalign.cli import main
from openalign.errors import ConfigError, InputError, StageError
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.datasets.labels import class_folders
from openalign.evaluate.datasets.labels.class_folders import ClassFoldersDataset
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.results import Metric, Results, read
from openalign.evaluate.tasks.contract import (
    FinishedTask,
    Material,
    Sampling,
    TrainingMaterial,
    TrainingTerms,
)
from openalign.evaluate.tasks.fine_tuning.fine_tune import (
    FineTuneFacts,
    FineTuneRun,
    FineTuneStage,
    FineTuneTask,
    check_training,
    headline,
    measure,
    needs,
    overall,
    protocol,
    train,
    vtab_task_of,
)
from openalign.evaluate.tasks.fine_tuning.fine_tune_measures import Learned, quick
from openalign.evaluate.tasks.fine_tuning.fine_tune_section import how_trained
from openalign.evaluate.tasks.tower_training import (
    RunOutcome,
    StageOutcome,
    TowerRun,
    check_blocks,
    outcomes_of,
    places_in,
)
from openalign.settings.yaml_reader import read_plain
from openalign.train.config import Duration
from openalign.train.data.order import seed_at
from openalign.train.fine_tune.recipes import (
    FINE_GRAINED_ALL,
    FINE_GRAINED_HEAD,
    IMAGENET_ALL,
    IMAGENET_HEAD,
    FineGrainedRecipe,
    FineTuneEngine,
    ImageNetRecipe,
    VtabRecipe,
    vtab_recipe,
)
from openalign.train.sweep.ranges import draw_trial
from openalign.train.watchdog import HUNG
from openalign.train.zero import joined_ranks

NAMES = ("whole", "cut", "two", "refused")
"""Pipelines of `toy`."""

PETS = Dataset(
    images=[
        image_called(f"{split}-{number}", split=split, label=number % 3)
        for split, count in (("train", 4), ("val", 2), ("test", 6))
        for number in range(count)
    ],
    classes=tuple(ImageClass(id=str(number)) for number in range(3)),
)
TASK = FineTuneTask(benchmark="pets", recipe=FineGrainedRecipe())


def test_the_recipes_are_the_papers_where_nothing_is_said() -> None:
    assert ImageNetRecipe().stages == (IMAGENET_HEAD, IMAGENET_ALL)
    assert FineGrainedRecipe().stages == (FINE_GRAINED_HEAD, FINE_GRAINED_ALL)
    assert (ImageNetRecipe().runs, FineGrainedRecipe().runs) == (1, 3)


def test_each_number_of_a_recipe_may_be_another() -> None:
    head, both = ImageNetRecipe(
        epochs=2, batch_size=8, head_learning_rate=0.3, learning_rate=0.4, tower_share=0.5,
        weight_decay=0.6, head_train_px=32, head_eval_px=40, train_px=48, eval_px=64,
    ).stages  # fmt: skip
    shared: dict[str, Any] = {
        "duration": Duration(epochs=2), "batch_size": 8, "weight_decay": 0.6
    }  # fmt: skip
    assert head == replace(IMAGENET_HEAD, **shared, learning_rate=0.3, train_px=32, eval_px=40)
    assert both == replace(
        IMAGENET_ALL, **shared, learning_rate=0.4, tower_share=0.5, train_px=48, eval_px=64
    )


def test_a_fast_run_takes_two_steps() -> None:
    stages = FineGrainedRecipe().stages
    assert [stage.duration.steps for stage in quick(stages, fast=True)] == [2, 2]
    assert quick(stages, fast=False) == (FINE_GRAINED_HEAD, FINE_GRAINED_ALL)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"batch_size": 1}, "batch_size must be at least 2, got 1", id="batch"),
        pytest.param({"runs": 0}, "runs must be above 0", id="runs"),
        pytest.param({"steps": 0}, "steps must be above 0", id="steps"),
        pytest.param({"train_px": 0}, "train_px must be above 0", id="pixels"),
        pytest.param({"weight_decay": -1.0}, "weight_decay", id="decay"),
    ],
)
def test_recipes_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FineGrainedRecipe(**settings)


def test_blocks_of_one_image_are_refused() -> None:
    with pytest.raises(ValueError, match="block_size must be at least 2, got 1"):
        FineTuneEngine(block_size=1)


def test_it_needs_the_splits_that_it_trains_and_tests_on() -> None:
    assert needs(TASK, PETS).splits == {"train", "test"}
    assert needs(replace(TASK, train_splits=("train", "val")), PETS).splits == {
        "train",
        "val",
        "test",
    }


@pytest.mark.parametrize(
    ("task", "dataset", "message"),
    [
        pytest.param(
            replace(TASK, train_splits=("train", "test")), PETS, "two parts to play", id="twice"
        ),
        pytest.param(replace(TASK, split="dev"), PETS, "no image is in split `dev`", id="no split"),
        pytest.param(TASK, replace(PETS, classes=()), "have no classes", id="no class"),
        pytest.param(
            TASK, replace(PETS, classes=PETS.classes[:1]), "needs two classes", id="one class"
        ),
        pytest.param(
            TASK,
            replace(PETS, images=[PETS.images[0], PETS.images[-1]]),
            "there is 1 image to train on",
            id="one image",
        ),
    ],
)
def test_data_sets_that_cannot_be_learned_are_refused(
    task: FineTuneTask, dataset: Dataset, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        needs(task, dataset)


def stage_outcome(above: list[int], wrong: list[int]) -> StageOutcome:
    first = [[0, 1, 2]] * len(above)
    return StageOutcome(
        steps=7, num_skipped=1, batch_size=4, above=above, tied=[0] * len(above), wrong=wrong,
        first=first,
    )  # fmt: skip


def test_numbers_are_means_over_runs_of_the_last_stage() -> None:
    """Of six images the head is right for 3 and 1; all layers are for 6 and 3, all of class 0."""
    head = [stage_outcome([0, 0, 0, 1, 1, 1], [1] * 6), stage_outcome([0, 1, 1, 1, 1, 1], [1] * 6)]
    last = [stage_outcome([0] * 6, [2] * 6), stage_outcome([0, 1, 0, 0, 2, 1], [2] * 6)]
    runs = [RunOutcome(stages=list(stages)) for stages in zip(head, last, strict=True)]
    benchmark = embedded_benchmark(PETS, random_rows(len(PETS.images), 4, seed=0))

    measured = measure(
        TASK,
        Material(benchmark=benchmark, texts={}, trained=Learned(FineGrainedRecipe().stages, runs)),
        Sampling(bootstrap=Bootstrap(resamples=20, confidence=0.9, seed=0), num_examples=2),
    )

    values = {metric.name: metric.value for metric in measured.metrics}
    prefix = "fine_tune/pets"
    # Labels are 0, 1, 2, 0, 1, 2. The second run: class 0 whole, class 1 not at all, half of 2.
    assert values == pytest.approx(
        {
            f"{prefix}/top_1": (6 / 6 + 3 / 6) / 2,
            f"{prefix}/mean_per_class": (1 + (1 + 0 + 0.5) / 3) / 2,
            f"{prefix}/std_over_runs": np.std([1.0, 0.5], ddof=1),
            f"{prefix}/head_top_1": (3 / 6 + 1 / 6) / 2,
        }
    )
    facts = measured.facts
    assert (facts.run_right, facts.steps, facts.num_train_images) == ((6, 3), (7, 7), 4)
    assert facts.num_unseen_classes == 0
    assert facts.num_skipped == 4
    # What each run came to: of class 0, 1 and 2 the head of the second is right for 1/2, 0 and 0.
    assert facts.runs == tuple(
        FineTuneRun(
            seed=seed_at(0, number),
            stages=tuple(
                FineTuneStage(steps=7, num_skipped=1, num_right=right, mean_per_class=mean)
                for right, mean in of_stages
            ),
        )
        for number, of_stages in enumerate([[(3, 0.5), (6, 1.0)], [(1, 1 / 6), (3, 0.5)]], start=1)
    )
    assert facts.task == "", "another recipe"
    assert how_trained(facts).endswith(
        "4 images a step; 2 runs; 4 steps changed nothing: not finite"
    )
    task = FinishedTask(name="pets", benchmark="pets", facts=facts, results=results_of(measured))
    (line,) = headline(task)
    assert "4 images a step. 4 steps changed nothing: not finite. Tested on" in protocol(task)
    assert line == (
        "pets test, fine-tuned: top-1 75.0, with the head alone 33.3 (chance 33.3; 6 images, 3 "
        "classes; fine_grained, 4 training images, 2 runs)"
    )


@pytest.mark.parametrize(
    ("benchmark", "recipe", "num_classes", "task"),
    [
        ("vtab_pets", VtabRecipe(), 37, "pets"),
        ("dtd", VtabRecipe(), 47, "dtd"),
        ("dtd", VtabRecipe(), 46, ""),
        ("mine", VtabRecipe(), 47, ""),
        ("dtd", FineGrainedRecipe(), 47, ""),
    ],
    ids=["with its prefix", "without", "other classes", "another name", "another recipe"],
)
def test_a_task_of_vtab_is_told_by_its_benchmark(
    benchmark: str, recipe: Any, num_classes: int, task: str
) -> None:
    of_task = FineTuneTask(benchmark=benchmark, recipe=recipe)

    assert vtab_task_of(of_task, num_classes=num_classes) == task


def test_means_are_over_the_tasks_of_vtab_alone() -> None:
    """The four specialized tasks, of two runs each, and a set of pets that is none of them."""
    shares = {
        "patch_camelyon": (0.8, 0.9), "eurosat": (0.9, 0.9), "resisc45": (0.7, 0.8),
        "diabetic_retinopathy": (0.6, 0.6), "": (0.1, 0.1),
    }  # fmt: skip
    tops = {name or "pets": sum(of_runs) / 2 for name, of_runs in shares.items()}
    metrics = tuple(
        Metric(name=f"fine_tune/{name}/top_1", value=top, low=top, high=top, n=100, chance=0.1)
        for name, top in tops.items()
    )
    results = Results(metrics=metrics, tasks=(), settings={}, libraries={}, hashes={})
    tasks = [
        FinishedTask(
            name=name or "pets",
            benchmark=name or "pets",
            facts=facts_of(task=name, num_images=100, run_right=(100 * a, 100 * b)),
            results=results,
        )
        for name, (a, b) in shares.items()
    ]

    found = overall(
        tasks,
        {each.name: np.full(20, each.value) for each in metrics},
        Bootstrap(resamples=20, confidence=0.9, seed=0),
    )

    values = {each.metric.name: each.metric.value for each in found}
    # Of the runs: (0.8 + 0.9 + 0.7 + 0.6) / 4 = 0.75, and (0.9 + 0.9 + 0.8 + 0.6) / 4 = 0.8.
    assert values == pytest.approx(
        {
            "fine_tune/all/specialized": 0.775,
            "fine_tune/all/specialized_std": 0.05 / 2**0.5,
        }
    )


def test_a_task_cannot_be_called_as_the_means_are() -> None:
    with pytest.raises(ValueError, match="name must not be `all`"):
        FineTuneTask(benchmark="pets", name="all")


def results_of(measured: Any) -> Results:
    return Results(metrics=tuple(measured.metrics), tasks=(), settings={}, libraries={}, hashes={})


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory, model_folder: str) -> Path:
    """Settings of a run on eight colored shapes in four classes, and four others to test on."""
    folder = tmp_path_factory.mktemp("toy")
    for split, shapes in (("train", SHAPES[:2]), ("test", SHAPES[2:3])):
        for color in COLORS[:4]:
            of_class = folder / "data" / split / color
            of_class.mkdir(parents=True)
            for shape in shapes:
                (of_class / f"{shape}.jpg").write_bytes(jpeg_of(color, shape))
    recipe = {"kind": "fine_grained", "steps": 4, "batch_size": 8, "train_px": 32, "eval_px": 40}
    task = {
        "kind": "fine_tune",
        "benchmark": "toy",
        "recipe": {**recipe, "head_learning_rate": 1.0, "runs": 2},
        "engine": {"block_size": 4, "checkpoint_every_steps": 2, "decode_threads": 1},
    }
    settings = {
        "benchmarks": {"toy": {"kind": "class_folders", "path": str(folder / "data")}},
        "evaluate": {"model": model_folder, "tasks": [task], "bootstrap_resamples": 20},
    }
    pipelines = {name: {**settings, "root": str(folder / name)} for name in NAMES}
    path = folder / "pipelines.yaml"
    path.write_text(yaml.safe_dump(pipelines))
    return path


def command(toy: Path, name: str) -> list[str]:
    return ["evaluate", name, "--config", str(toy)]


def evaluate_until(toy: Path, name: str, words: str) -> None:
    """Run the command in a process, which is killed when it says something."""
    with subprocess.Popen(
        [sys.executable, "-m", "openalign", *command(toy, name)],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if words in line:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def result_bytes(toy: Path, name: str) -> dict[str, bytes]:
    folder = toy.parent / name / "evaluate"
    names = ("results.json", "resamples.parquet", "examples.json", "manifest.json")
    return {file: (folder / file).read_bytes() for file in names}


@pytest.mark.slow
def test_the_command_goes_on_after_a_kill_to_the_same_bytes(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(toy, "whole")) == 0
    said = capsys.readouterr().err
    assert "fine_tune/toy, run 2 of 2, stage 2 of 2, step 4 of 4: loss" in said
    assert "toy test, fine-tuned: top-1" in said

    evaluate_until(toy, "cut", "run 2 of 2, stage 1 of 2, step 4 of 4")
    checkpoints = toy.parent / "cut"
    assert list(checkpoints.rglob("checkpoints/*/run-2-1")), "its checkpoints are there"
    assert not list(checkpoints.rglob("checkpoints/*/run-1-*")), "those of a complete run are not"

    assert main(command(toy, "cut")) == 0
    assert "run 1 of 2" not in capsys.readouterr().err
    assert result_bytes(toy, "cut") == result_bytes(toy, "whole")
    assert not any(name in os.environ for name in ("RANK", "WORLD_SIZE"))


@pytest.mark.distributed
@pytest.mark.slow
def test_two_processes_train_together(toy: Path) -> None:
    assert main([*command(toy, "two"), "--set", "evaluate.num_processes=2"]) == 0

    found = read(str(toy.parent / "two" / "evaluate" / "results.json"))
    facts = msgspec.convert(found.tasks[0].facts, FineTuneFacts)
    assert (facts.steps, facts.batch_size, facts.num_images) == ((4, 4), 8, 4)
    assert found.metric("fine_tune/toy/top_1").n == 4


@pytest.fixture
def material(toy: Path, model_folder: str, tmp_path: Path) -> Generator[TrainingMaterial]:
    """The shapes as a task of two trials trains on them, alone."""
    dataset = class_folders.read(ClassFoldersDataset(path=str(toy.parent / "data")))
    with joined_ranks() as ranks:
        yield TrainingMaterial(
            dataset=dataset,
            model=model_folder,
            processor="",
            weights="w",
            preprocess="p",
            images="i",
            work=str(tmp_path),
            ranks=ranks,
            fast=False,
        )


def test_what_cannot_be_trained_is_told_before_anything_is_embedded(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(setting: str) -> str:
        task = f"{{kind: fine_tune, benchmark: toy, {setting}}}"
        assert main([*command(toy, "refused"), "--set", f"evaluate.tasks=[{task}]"]) == 2
        err = capsys.readouterr().err
        assert "toy needs" not in err, "nothing is told of what will be embedded"
        return err

    assert "batches of 0 images cannot be made" in said("engine: {block_size: 16}")
    assert "takes no 8192 x 8192 images" in said("recipe: {kind: fine_grained, eval_px: 8192}")


def test_vtabs_trials_are_checked_on_the_images_that_they_have(
    model_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials have the four images of `train`: one block of four. The best has six."""
    recipe = VtabRecipe(batch_size=8, validation_split="val", resolutions_px=(32,), trials=2)
    task = replace(
        TASK, train_splits=("train",), recipe=recipe, engine=FineTuneEngine(block_size=2)
    )
    terms = TrainingTerms(dataset=PETS, model=model_folder, num_processes=2, fast=False)

    check_training(task, terms)

    with pytest.raises(ConfigError, match="3 processes cannot share 2 blocks of 2 images") as few:
        check_training(task, replace(terms, num_processes=3))
    assert few.value.hint == "set `evaluate.num_processes` to 2 at most"  # a block has two images
    monkeypatch.setattr("openalign.evaluate.tasks.tower_training.is_rank", lambda: True)
    whole = replace(task, engine=FineTuneEngine(block_size=4))
    with pytest.raises(ConfigError, match="2 processes cannot share 1 block of 4 images") as few:
        check_training(whole, terms)
    assert few.value.hint == (
        "start 1 process at most; or set `block_size` under the task's `engine` to 2, which makes "
        "another model"
    )


def test_the_page_shows_tasks_that_its_processes_can_share() -> None:
    page = Path(__file__).parents[4] / "docs" / "tasks" / "fine-tuning.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    config = read_plain(EvaluateConfig, yaml.safe_load(example)["evaluate"], str(page))

    of_vtab = vtab_recipe(draw_trial(VtabRecipe().ranges, 0, seed=0))
    for task in config.tasks:
        assert isinstance(task, FineTuneTask)
        stages, num_images = (of_vtab,), 800
        if not isinstance(task.recipe, VtabRecipe):
            stages, num_images = task.recipe.stages, 2000
        for stage in stages:
            check_blocks(
                stage, task.engine, num_images=num_images, num_processes=config.num_processes
            )


ENGINE = FineTuneEngine(block_size=4, decode_threads=1)


@pytest.mark.distributed
@pytest.mark.slow
def test_a_rank_that_hangs_in_the_test_is_named(toy: Path, model_folder: str) -> None:
    """The four test images are one group, which rank 0 has; rank 1 waits for what it says."""
    places = (model_folder, str(toy.parent / "data"), str(toy.parent / "hung"))
    found = [each["PYTHONPATH"] for each in (environment(), rank_environment())]
    ranks = start_ranks(
        (tower_checks.until_test_hangs, places),
        num_ranks=2,
        folder=toy.parent,
        environment={"PYTHONPATH": os.pathsep.join(found)},
    )

    said = ranks[0].communicate()[0]
    ranks[1].kill()
    ranks[1].communicate()

    assert ranks[0].returncode == HUNG, said
    assert "rank 0 on" in said
    assert "tests at image 0\n  the other 1 wait for that" in said
    assert "hint: `hang_minutes` under the task's `engine`" in said
    assert "toy, step 2 of 2: loss" in said, "it was trained before"


def test_more_processes_than_blocks_are_refused(material: TrainingMaterial) -> None:
    of_two = replace(material, ranks=replace(material.ranks, world_size=2))
    task = replace(TASK, recipe=FineGrainedRecipe(batch_size=8))

    with pytest.raises(ConfigError, match="2 processes cannot share 1 block of 8 images") as told:
        train(task, of_two)
    assert "`block_size` under the task's `engine` to 4, " in (told.value.hint or "")


@pytest.mark.slow
def test_vtabs_recipe_trains_what_was_best_on_the_validation_split(
    material: TrainingMaterial,
) -> None:
    """Of the eight training images those of the second shape are the validation split."""
    images = [
        replace(image, split="val200" if image.name.endswith(f"{SHAPES[1]}.jpg") else image.split)
        for image in material.dataset.images
    ]
    of_vtab = replace(material, dataset=replace(material.dataset, images=images))
    recipe = VtabRecipe(trials=2, batch_size=4, updates=(1, 2), resolutions_px=(32, 36), runs=1)
    task = replace(TASK, train_splits=("train",), recipe=recipe, engine=ENGINE)

    found = train(task, of_vtab)

    assert isinstance(found, Learned)
    drawn = [draw_trial(recipe.ranges, number, seed=0) for number in range(2)]
    assert [trial.settings for trial in found.trials] == drawn
    assert [(trial.seed, trial.diverged) for trial in found.trials] == [(seed_at(0, 0), False)] * 2
    assert found.chosen == int(found.trials[1].num_right > found.trials[0].num_right)
    (stage,) = found.stages
    assert stage == vtab_recipe(drawn[found.chosen], batch_size=4)
    ((last,),) = (run.stages for run in found.runs)
    assert last.steps == drawn[found.chosen]["updates"]
    assert len(last.above) == 4


def diverging(material: TrainingMaterial) -> TowerRun:
    stage = replace(
        FINE_GRAINED_HEAD, learning_rate=1e38, batch_size=8, train_px=32, eval_px=32,
        duration=Duration(steps=20),
    )  # fmt: skip
    return TowerRun(
        name="trial-1",
        words="toy",
        stages=(stage,),
        engine=replace(ENGINE, checkpoint_every_steps=2),
        seed=0,
        trained_on=places_in(material, "train"),
        tested_on=places_in(material, "test"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["weights", "preprocess"])
def test_checkpoints_of_what_has_changed_since_are_not_gone_on_from(
    material: TrainingMaterial, changed: str
) -> None:
    """Two that end in the middle, and leave a checkpoint each."""
    run = diverging(material)

    for each in (material, replace(material, **{changed: "other"})):
        with pytest.raises(StageError, match="toy stopped at step"):
            outcomes_of(each, [run])

    assert len(list(Path(material.work, "checkpoints").glob("*/trial-1-1/*"))) == 2


@pytest.mark.slow
def test_a_trial_that_diverges_is_right_for_nothing(material: TrainingMaterial) -> None:
    run = replace(diverging(material), may_diverge=True)

    (outcome,) = outcomes_of(material, [run])

    assert outcome == RunOutcome(stages=[])
    assert outcome.num_right == 0
    with pytest.raises(StageError, match="toy stopped at step"):
        outcomes_of(material, [replace(run, name="trial-2", may_diverge=False)])
