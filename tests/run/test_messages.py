"""What a run says about stages that brought nothing in."""

import pytest

from openalign.files.facts import HarvestFacts
from openalign.files.manifest import StageResult
from openalign.ingest.web.config import WebConfig
from openalign.run.config import load_pipeline
from openalign.run.contract import Run, StageSetup
from openalign.run.messages import counts_so_far, nothing_found, say_behind_proxy
from openalign.run.stages import STAGES


@pytest.mark.parametrize(
    ("pages", "hint"),
    [
        pytest.param({"out_of_scope": 1}, "the seeds lead to another host", id="redirects"),
        pytest.param({"robots_denied": 2}, "withhold the seeds", id="withheld"),
        pytest.param({"unreachable": 1}, "unless `web.allowed_networks` lets", id="no host"),
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


@pytest.mark.parametrize("proxy", ["", "http://user:secret@proxy.example:3128"])
def test_a_stage_behind_a_proxy_says_what_cannot_be_judged(
    capsys: pytest.CaptureFixture[str], proxy: str
) -> None:
    say_behind_proxy(STAGES["fetch"], WebConfig(proxy=proxy))

    said = "".join(capsys.readouterr())
    assert said.startswith("fetch     asks through a proxy: ") == bool(proxy)
    assert "secret" not in said


@pytest.mark.parametrize(
    ("counts", "seconds", "said"),
    [
        pytest.param({}, 5.0, "", id="nothing yet"),
        pytest.param(
            {"pages": 0, "pairs": 50_000}, 20.0, "50,000 pairs (2,500 a second)", id="one"
        ),
        pytest.param(
            {"pages": 3, "pairs": 8},
            0.1,
            "3 pages (3 a second), 8 pairs (8 a second)",
            id="no rate is drawn from less than a second",
        ),
    ],
)
def test_counts_are_shown_with_their_rates(
    counts: dict[str, int], seconds: float, said: str
) -> None:
    assert counts_so_far(counts, seconds) == said
