"""What people write who know other trainers is taken, or answered with what to write."""

import pytest

from openalign.errors import ConfigError
from openalign.run.config import load_pipeline

PIPELINES = "pipelines.yaml"
BEGINNINGS = (
    "{kind: model, path: ...}",
    "{kind: run, root: ...}",
    "{kind: towers, image: ..., text: ...}",
)


def answer_to(override: str) -> str | None:
    """Return the hint that `--set` is answered with; None where it is taken."""
    try:
        load_pipeline(PIPELINES, "demo", [override])
    except ConfigError as error:
        return error.hint
    return None


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("train.optimizer.learning_rate=1E-3", None),
        ("evaluate.model=/models/align-base", None),
        (
            "train.init_from=/models/align-base",
            f"write one of {', '.join(BEGINNINGS)}",
        ),
        ("train.model.image_tower.frozen=true", "did you mean `train.frozen`?"),
        ("train.gradient_accumulation_steps=4", "did you mean `train.block_size`?"),
        ("train.validation=x", "write {batches: 1, every_steps: 1000}"),
        ("train.wandb=true", "write {project: openalign, entity: ..., name: ...}"),
        ("train.batch_norm=sync", "did you mean `train.model.image_tower.batch_norm`?"),
        ("evaluate.zero_shot=[]", "write `evaluate.tasks: [{kind: zero_shot, benchmark: ...}]`"),
    ],
)
def test_a_setting_of_other_trainers_is_taken_or_answered(override: str, hint: str | None) -> None:
    assert answer_to(override) == hint
