"""One rank of an evaluation: what it is told, and all that it does.

`openalign evaluate` is the only rank where one process is asked for, and else writes an
`EvaluationSpec` and starts `python -m openalign.evaluate.rank SPEC` for each. Under torchrun and
its like every process builds the same spec and calls `run`. Rank 0 locks the stage, sees whether it
is up to date, measures and seals it.
"""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets.kinds import AnyDataset
from openalign.files.fingerprints import fingerprint_of
from openalign.files.sealed import SealedFiles
from openalign.settings.yaml_reader import read_plain
from openalign.train.stage_spec import StageSpec, begin, main_of_rank


@dataclass(frozen=True, slots=True, kw_only=True)
class RankConfig:
    """The settings that a rank needs."""

    evaluate: EvaluateConfig
    """What is measured."""

    benchmarks: dict[str, AnyDataset]
    """Data sets, by name."""


class EvaluationSpec(StageSpec, frozen=True, kw_only=True):
    """What every rank of an evaluation is told; all of it is the same for every rank."""

    config: dict[str, Any]
    """`RankConfig` as `settings.fields.to_plain` returns it, runtime settings included."""

    model: str
    """URL of the model's folder."""


def run(spec: EvaluationSpec) -> None:
    """Evaluate as one of the ranks that the environment names, or alone; rank 0 seals the stage.

    Nothing is done where the stage is up to date. An error of rank 0 before or after the embedding
    ends every rank.

    Raises:
        StageError: another run is at work on the stage, there is no task, ranks do not have the
            same settings, inputs, libraries or folder, or a batch does not fit into the memory of
            the device.
        InputError: the model, a benchmark or more images than may be left out cannot be used.
    """
    from openalign.evaluate import stage
    from openalign.train.ranks import check_same, check_shared, met_ranks, on_rank_0

    config = read_plain(RankConfig, spec.config, "the rank's spec")
    with met_ranks() as ranks, ExitStack() as held:
        # Under torchrun each rank has read the settings and hashed the inputs of its own machine.
        check_same(
            ranks, {"settings": fingerprint_of(spec.inputs.settings), **spec.inputs.contents}
        )
        if not on_rank_0(ranks, partial(begin, spec, held)):
            return
        check_shared(ranks, spec.work)
        folder = spec.folder
        sealed = folder.read()
        result = stage.run_as_rank(
            config.evaluate,
            config.benchmarks,
            model=spec.model,
            output=spec.output,
            work=spec.work,
            previous=None if sealed is None else SealedFiles(folder.url, sealed.files),
            ranks=ranks,
        )
        if result is not None:
            folder.seal(result, spec.inputs)


if __name__ == "__main__":
    sys.exit(main_of_rank(sys.argv[1:], EvaluationSpec, run))
