"""Says what a fetch would cost: a sample of it is fetched here and thrown away."""

import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace

from openalign.engines.live_counts import read_live
from openalign.errors import ConfigError
from openalign.files.names import KEPT
from openalign.files.storage import join
from openalign.ingest.fetch_sample import fetch_sample
from openalign.ingest.fetching.live_fetch import FetchProgress
from openalign.run import inputs, readiness
from openalign.run.contract import Run, StageSetup
from openalign.run.lineage import read_inputs
from openalign.run.stage_work.fetching import fetch_setup
from openalign.run.stages import STAGES
from openalign.run.verbs.projection import Estimate, project
from openalign.run.verbs.serving import served_site
from openalign.telemetry import progress_line


def estimate(
    run: Run,
    *,
    sample: int,
    price_core_hour: float | None = None,
    price_gb_month: float | None = None,
) -> Estimate:
    """Fetch about `sample` candidates and return what all of them would cost.

    Raises:
        ConfigError: the sample or a price is no such number, or no contact is named.
        StageError: an earlier stage is not complete, or the network is out of order.
    """
    if sample < 1:
        raise ConfigError(f"--sample must be above 0, got {sample}", hint="1000 gives good numbers")
    for flag, price in (("core-hour", price_core_hour), ("gb-month", price_gb_month)):
        if price is not None and not 0 <= price < float("inf"):
            raise ConfigError(f"--price-{flag} must be 0 or more, got {price}")
    stage = STAGES["fetch"]
    read_inputs(run, stage)
    readiness.require_contact(run, stage)
    readiness.require_libraries(stage)
    web = stage.web(run.config)
    with (
        tempfile.TemporaryDirectory(prefix="openalign-estimate-") as folder,
        served_site(run) if web is not None else nullcontext({}) as served,
    ):
        if web is not None:
            web = replace(web, connect_to={**web.connect_to, **served})
        setup = fetch_setup(StageSetup(run=run, output=folder, work=join(folder, "work"), web=web))
        progress, started = FetchProgress(setup.plan_url), time.monotonic()

        def measure() -> str:
            return progress.words(read_live(setup.work), time.monotonic() - started)

        with progress_line("estimate", measure):
            found = fetch_sample(
                setup,
                kept=run.urls("filter", KEPT),
                removals=inputs.removals_of(run.config),
                num_candidates=sample,
            )
    return project(found, price_core_hour=price_core_hour, price_gb_month=price_gb_month)
