"""What a fetch, and a round of it, is told."""

from functools import partial
from typing import TYPE_CHECKING

from openalign.run import source_images
from openalign.run.contract import ProgressWords, StageSetup

if TYPE_CHECKING:
    from openalign.ingest.fetching.setup import FetchSetup


def fetch_setup(setup: StageSetup, *, round_number: int = 0) -> "FetchSetup":
    """Return what the jobs of a fetch are told."""
    from openalign.engines.runners import most_workers
    from openalign.filtering.rules.image import header_state
    from openalign.ingest.fetching.setup import FetchSetup

    config = setup.config.fetch
    images_from = setup.web or source_images.own_images(setup.config)
    assert images_from is not None, "images are on the web or with their source"
    rule = partial(header_state, rules=setup.config.select.image)
    return FetchSetup(
        config=config,
        images_from=images_from,
        header_rule=rule if config.reject_on_header else None,
        output=setup.output,
        work=setup.work,
        round_number=round_number,
        most_workers=most_workers(setup.run.beam_options),
    )


def progress_words(setup: StageSetup) -> ProgressWords:
    """Return what makes a line of how far a fetch is."""
    from openalign.ingest.fetching.live_fetch import FetchProgress

    return FetchProgress(fetch_setup(setup).plan_url).words
