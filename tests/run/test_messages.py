"""What a run says about stages that brought nothing in."""

import pytest

from openalign.files.facts import HarvestFacts
from openalign.files.manifest import StageResult
from openalign.ingest.web.config import WebConfig
from openalign.run.config import load_pipeline
from openalign.run.contract import Run, StageSetup
from openalign.run.messages import nothing_found
from openalign.run.stages import STAGES


@pytest.mark.parametrize(
    ("pages", "hint"),
    [
        pytest.param({"out_of_scope": 1}, "the seeds lead to another host", id="redirects"),
        pytest.param({"robots_denied": 2}, "withhold the seeds", id="withheld"),
        pytest.param({"unreachable": 1}, "see that the network and the hosts answer", id="no host"),
        pytest.param({"parsed": 1, "out_of_scope": 1}, "see that the network", id="no pairs"),
    ],
)
def test_a_site_without_candidates_says_what_to_do(pages: dict[str, int], hint: str) -> None:
    config = load_pipeline("pipelines.yaml", "demo")
    setup = StageSetup(
        run=Run(stages=STAGES, config=config), output="", work="", web=WebConfig(contact="a@b.c")
    )
    result = StageResult(
        num_inputs=0, states={}, num_outputs=0, files=[], facts=HarvestFacts(pages=pages)
    )

    assert hint in (nothing_found(STAGES["harvest"], setup, result).hint or "")
