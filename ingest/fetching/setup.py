"""What the jobs of a fetch are told, and where their files lie."""

from collections.abc import Callable
from dataclasses import dataclass

from openalign.engines.jobs import summary_url
from openalign.files import storage
from openalign.files.states import FetchState
from openalign.ingest.config import FetchConfig
from openalign.ingest.sources.contract import OwnImages
from openalign.ingest.web.config import WebConfig

HeaderRule = Callable[[int, int], FetchState | None]
"""Judges an image's width and height: the reason to drop it, or None to keep it."""

COUNTED, CUT, FETCHED, TAKEN, TALLIED = "counted", "cut", "fetched", "taken", "tallied"
"""The jobs, as their files in `work` are called; `TAKEN` is the first of a round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSetup:
    """What one fetch, or one round of it, is told."""

    config: FetchConfig
    images_from: WebConfig | OwnImages
    """How the web is asked, or where the images lie."""

    header_rule: HeaderRule | None = None
    output: str
    """The folder in which shards and ledgers are made."""

    work: str
    """The folder for files that a rerun resumes from."""

    round_number: int = 0
    """0 for the first try of each image, then the number of the round that tries some again."""

    most_workers: int | None = None
    """Workers that fetch at one time, at most; None where nobody knows."""

    @property
    def plan_url(self) -> str:
        """Where the plan lies."""
        return storage.join(self.work, "plan.json")

    @property
    def work_summary(self) -> str:
        """The summary of the job that wrote the work files."""
        return summary_url(self.work, CUT)
