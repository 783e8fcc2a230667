"""Facts of a fine-tuning as they stand in a result, for tests of tables, means and the report."""

from typing import Any

import msgspec

from openalign.evaluate.tasks.fine_tuning.fine_tune import FineTuneFacts


def facts_of(**changes: Any) -> FineTuneFacts:
    """Return the facts of a task of VTAB's recipe, with some that are the test's own."""
    facts = FineTuneFacts(
        split="test",
        train_splits=("train800", "val200"),
        num_images=100,
        num_train_images=1_000,
        num_classes=10,
        num_unseen_classes=0,
        recipe="vtab",
        steps=(500,),
        batch_size=64,
        train_px=(64,),
        eval_px=(64,),
        run_right=(50,),
        num_val_images=200,
    )
    return msgspec.structs.replace(facts, **changes)
