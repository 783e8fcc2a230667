"""A toy stage: it measures the alt-texts that harvest found."""

# [stage]
from typing import TYPE_CHECKING

from openalign.files.names import CANDIDATES
from openalign.run.contract import Stage, StageSetup

if TYPE_CHECKING:
    from openalign.engines.jobs import Jobs


def _jobs(setup: StageSetup) -> "Jobs":
    import toy_stage_jobs  # the sibling that knows Beam is imported when the stage runs

    return toy_stage_jobs.jobs(setup.run.urls("harvest", CANDIDATES), output=setup.output)


STAGE = Stage(
    name="lengths",
    title="measure alt-texts",
    folder="lengths",
    reads=lambda _: ("harvest",),
    settings=lambda _: {"version": 1},
    jobs=_jobs,
    rows_from="harvest",
    extra="ingest",
    needs=("apache_beam",),
)
# [/stage]
