"""How a run hands its training stage to the ranks: their spec, and the process that starts them.

Two ways lead to `train.rank.run`, and both pass the same checks. `start` writes the spec into the
stage's `work/`, starts ranks and waits. Under torchrun and its like every process is a rank
already: it builds the spec itself. Rank 0 locks and seals the stage in both.
"""

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from openalign.files import storage
from openalign.files.manifest import Manifest, stage_fingerprint
from openalign.settings.fields import to_plain

if TYPE_CHECKING:
    from openalign.run.stages import Run
    from openalign.train.rank import RankSpec


def rank_spec(run: "Run", *, settings: dict[str, Any], inputs: dict[str, str]) -> "RankSpec":
    """Return what the ranks of this run are told; `settings` and `inputs` as the manifest has them.

    Raises:
        StageError: a stage that training reads is not complete.
    """
    from openalign.train.rank import RankSpec

    return RankSpec(
        config=to_plain(run.config.train),
        training=run.urls("select", "training-"),
        shards=storage.absolute(run.folder("fetch").url),
        root=storage.absolute(run.config.root),
        stage=run.folder("train").name,
        fingerprint=stage_fingerprint(settings, inputs),
        settings=settings,
        inputs=inputs,
    )


def start(run: "Run", spec: "RankSpec") -> Manifest:
    """Start the ranks, wait for them and return the manifest that rank 0 has sealed.

    Raises:
        SystemExit: this process got SIGTERM.
        StageError: this process is a rank itself, or the ranks failed.
    """
    from openalign.train.launch import launch
    from openalign.train.rank import write_spec

    # A name of its own: another starter may be here before rank 0 has locked the stage.
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
