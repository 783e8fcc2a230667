"""How a run hands its training stage to the ranks: their spec, and the process that starts them.

Two ways lead to `train.rank.run`, and both pass the same checks. `start` writes the spec into the
stage's `work/`, starts ranks and waits. Under torchrun and its like every process is a rank
already: it builds the spec itself. Rank 0 locks and seals the stage in both.
"""

from typing import TYPE_CHECKING
from uuid import uuid4

from openalign.files import storage
from openalign.files.manifest import Manifest
from openalign.files.names import TRAINING_PAIRS
from openalign.settings.fields import to_plain

if TYPE_CHECKING:
    from openalign.run.stages import Inputs, Run
    from openalign.train.rank import RankSpec


def is_rank() -> bool:
    """Tell whether this process is a rank already.

    Raises:
        StageError: the environment names a rank, but lacks a value that ranks need.
    """
    from openalign.train.launch import is_rank as environment_names_a_rank

    return environment_names_a_rank()


def run_as_rank(run: "Run", inputs: "Inputs") -> None:
    """Train as one of the ranks that the environment names; rank 0 seals the stage.

    Raises:
        StageError: what stops rank 0, on every rank.
    """
    from openalign.train import rank

    rank.run(rank_spec(run, inputs))


def start(run: "Run", inputs: "Inputs") -> Manifest:
    """Start the ranks, wait for them and return the manifest that rank 0 has sealed.

    Raises:
        SystemExit: this process got SIGTERM.
        StageError: the ranks failed.
    """
    from openalign.train.launch import launch
    from openalign.train.rank import write_spec

    spec = rank_spec(run, inputs)
    # A unique name: another starter may write here before rank 0 has locked the stage.
    url = storage.join(spec.work, f"spec-{uuid4().hex}.json")
    write_spec(url, spec)
    try:
        launch(
            [url],
            num_processes=run.config.train.num_processes,
            folders=(spec.output, spec.folder.url),
        )
    finally:
        storage.remove(url)
    manifest = spec.folder.require()
    assert manifest.fingerprint == spec.fingerprint, "the ranks sealed another result"
    return manifest


def rank_spec(run: "Run", inputs: "Inputs") -> "RankSpec":
    """Return the spec of this run's ranks.

    Raises:
        StageError: a stage that training reads is not complete.
    """
    from openalign.train.rank import RankSpec

    return RankSpec(
        config=to_plain(run.config.train),
        training=run.urls("select", TRAINING_PAIRS),
        shards=storage.absolute(run.folder("fetch").url),
        root=storage.absolute(run.config.root),
        stage=run.folder("train").name,
        fingerprint=inputs.fingerprint,
        settings=inputs.settings,
        inputs=inputs.contents,
    )
