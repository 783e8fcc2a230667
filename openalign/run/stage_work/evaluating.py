"""How a run hands its evaluation to ranks: their spec, and the process that starts them.

As in training, every way leads to one function, `evaluate.rank.run`: of this process, of ranks that
it starts, or of ranks that torchrun and its like have started.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.files import storage
from openalign.files.manifest import Manifest, StageFolder, StageInputs
from openalign.settings.fields import to_plain

if TYPE_CHECKING:
    from openalign.evaluate.rank import EvaluationSpec


def run_as_rank(spec: "EvaluationSpec") -> None:
    """Evaluate as one of the ranks that the environment names; rank 0 seals the stage.

    Raises:
        OpenAlignError: what stops `evaluate.rank.run`.
    """
    from openalign.evaluate import rank

    rank.run(spec)


def start(spec: "EvaluationSpec", *, num_processes: int) -> Manifest:
    """Evaluate, in this process or in as many as are asked for; return the sealed manifest.

    Raises:
        SystemExit: this process got SIGTERM or SIGUSR1, or a rank did.
        OpenAlignError: what stops `evaluate.rank.run`.
        StageError: a rank failed.
    """
    from openalign.evaluate.launch import STOPS, launch, num_ranks
    from openalign.train.local_ranks import orderly_end
    from openalign.train.stage_spec import made_by_ranks
    from openalign.train.stopping import SIGNALS

    count = num_ranks(num_processes)
    if count == 1:
        with orderly_end(STOPS, SIGNALS):  # copies of a remote model do not stay behind
            run_as_rank(spec)
        return spec.folder.require()
    return made_by_ranks(spec, lambda url: launch([url], count=count, work=spec.work))


def rank_spec(
    config: EvaluateConfig,
    benchmarks: dict[str, DatasetSettings],
    *,
    model: str,
    folder: StageFolder,
    inputs: StageInputs,
) -> "EvaluationSpec":
    """Return what the ranks of a run are told; every URL means the same in their folders."""
    from openalign.evaluate.rank import EvaluationSpec, RankConfig

    if config.processor:
        config = replace(config, processor=storage.absolute(config.processor))
    return EvaluationSpec(
        config=to_plain(RankConfig(evaluate=config, benchmarks=benchmarks)),
        model=storage.absolute(model),
        root=storage.absolute(folder.root),
        stage=folder.name,
        inputs=inputs,
    )
