"""Tasks that train the model itself: every rank takes part, after all have embedded."""

from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.embedded_plan import EmbeddedPlan
from openalign.evaluate.embedding.embeddings import fixed_threads
from openalign.evaluate.plan import Plan
from openalign.evaluate.tasks.contract import (
    TaskSettings,
    TrainingMaterial,
    TrainingTerms,
    key_of,
)
from openalign.evaluate.tasks.kinds import kind_of
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of
from openalign.files.names import embeddings_file
from openalign.train.ranks import RankGroup


def work_of(task: TaskSettings, work: str) -> str:
    """Return the URL of the folder in which a task keeps what it goes on from."""
    return storage.join(work, "tasks", key_of(task))


def check_trainings(config: EvaluateConfig, planned: Plan, *, model: str, ranks: RankGroup) -> None:
    """Check every task's training as far as it can be before anything is embedded.

    Raises:
        ConfigError: a task's batch cannot be cut into blocks, or not be shared by so many ranks.
        InputError: the model cannot take a task's images.
    """
    for task, _ in planned.tasks:
        check = kind_of(task).check_training
        if check is not None:
            terms = TrainingTerms(
                dataset=planned.benchmarks[task.benchmark].dataset,
                model=model,
                num_processes=ranks.world_size,
                fast=config.fast,
            )
            check(task, terms)


def train_for_tasks(
    config: EvaluateConfig, made: EmbeddedPlan, *, model: str, work: str, ranks: RankGroup
) -> dict[str, object]:
    """Return what came of each task's training, by its key; all ranks must call this.

    Raises:
        ConfigError: a task's batch cannot be shared by so many ranks.
        InputError: an image or the model cannot be used.
        StageError: a training went wrong.
    """
    asked = [task for task, _ in made.plan.tasks if kind_of(task).train is not None]
    if not asked:
        return {}
    from openalign.train.zero import joined_ranks

    trained: dict[str, object] = {}
    with joined_ranks() as joined, fixed_threads(ranks):
        for task in asked:
            train = kind_of(task).train
            assert train is not None
            dataset = made.plan.benchmarks[task.benchmark].dataset
            chunks = made.chunks.get(embeddings_file(task.benchmark, "images"), ())
            material = TrainingMaterial(
                dataset=dataset,
                model=model,
                processor=config.processor,
                weights=made.weights_hash,
                preprocess=made.preprocess_hash,
                images=fingerprint_of(
                    [[chunk.content_hash for chunk in chunks], dataset.content()]
                ),
                work=work_of(task, work),
                ranks=joined,
                fast=config.fast,
            )
            trained[key_of(task)] = train(task, material)
    return trained
