"""How a fetch is pointed at the hostile web: its candidates, and a pipeline."""

from typing import Any

import pyarrow as pa
import yaml

from openalign.files.states import FetchState
from openalign.hostile_web.case import Case
from openalign.hostile_web.hostile_server import HostileWeb

NAME = "hostile"

DEADLINES: dict[str, Any] = {
    "connect_seconds": 3.0,
    "first_byte_seconds": 5.0,
    "total_seconds": 8.0,
    "slow_seconds": 3,
    "num_retries": 2,
    "retry_seconds": 0.1,
    "max_retry_seconds": 5.0,
}
"""Short ones, so that nothing takes longer than half a minute."""


_SCAN_SECONDS = 1.0
"""How late a client may see that a deadline has passed."""


def most_seconds(case: Case) -> float:
    """Return the time from the first request for an image of a case to its end, with `DEADLINES`.

    That is of a client that is not held up, and that has the image's turn at once.
    """
    pauses = DEADLINES["max_retry_seconds"]
    per_attempt = DEADLINES[case.deadline] if case.deadline else 1.0
    return (1 + DEADLINES["num_retries"]) * (per_attempt + _SCAN_SECONDS) + pauses


def candidates(web: HostileWeb, *, num_per_case: int) -> pa.Table:
    """Return a table of images, each with a caption of its own, and how it must end.

    A case has that many images at most, and as many good ones on a host beside it.
    """
    port = web.http_port
    rows = [
        {
            "url": url,
            "caption": f"an image of case {case.name} {place} number {number}",
            "case": case.name,
            "state": str(state),
            "state_after_round": str(after),
        }
        for case in web.cases
        for place, urls, state, after in (
            ("itself", case.urls(num_per_case, http_port=port), case.state, case.state_after_round),
            ("beside", _beside(case, num_per_case), FetchState.FETCHED, FetchState.FETCHED),
        )
        for number, url in enumerate(urls)
    ]
    return pa.Table.from_pylist(rows)


def _beside(case: Case, num_per_case: int) -> list[str]:
    return [f"http://{case.neighbor}/{number}.jpg" for number in range(num_per_case)]


def settings(web: HostileWeb, *, table: str, ca_file: str) -> dict[str, Any]:
    """Return the settings of a pipeline that fetches a table of candidates."""
    return {
        "web": {
            "contact": "hostile-web@example.org",
            "requests_per_second": 1000.0,
            "connections_per_host": 8,
            "allowed_networks": ["127.0.0.0/8"],
            **DEADLINES,
            "ca_file": ca_file,
            "connect_to": web.connect_to,
            "dns": {"servers": [web.names.address]},
        },
        "harvest": {"source": {"kind": "table", "path": table}, "num_files": 2},
        "filter": {
            "text": {
                "max_unigrams": 40,
                "frequent": {"kind": "min_count", "at_least": 1},
            }
        },
        "fetch": {"num_buckets": 2, "max_bytes": 5_000_000},
    }


def pipeline_text(web: HostileWeb, *, table: str, ca_file: str) -> str:
    """Return the pipeline as it stands in a settings file."""
    whole = {NAME: settings(web, table=table, ca_file=ca_file)}
    return yaml.safe_dump(whole, sort_keys=False)
