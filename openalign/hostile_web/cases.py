"""The table of cases."""

from collections.abc import Sequence
from functools import cache

from openalign.hostile_web import answers, connections, images_sent, names, opt_outs
from openalign.hostile_web.case import Case


@cache
def all_cases() -> Sequence[Case]:
    """Return every case, grouped by what fails."""
    return (
        *images_sent.good_cases(),
        *answers.status_cases(),
        *answers.pause_cases(),
        *answers.redirect_cases(),
        *answers.encoding_cases(),
        *connections.header_cases(),
        *connections.length_cases(),
        *connections.slow_cases(),
        *connections.silence_cases(),
        *names.place_cases(),
        *names.name_cases(),
        *connections.tls_cases(),
        *opt_outs.header_cases(),
        *opt_outs.robots_cases(),
        *opt_outs.robots_answer_cases(),
        *opt_outs.tdmrep_cases(),
        *images_sent.broken_cases(),
        *images_sent.format_cases(),
    )


def table(cases: Sequence[Case]) -> list[str]:
    """Return the lines of a table in Markdown: each case, and how its images end."""
    head = ["| case | the host | ends as | after a round on another day |", "|---|---|---|---|"]
    return head + [
        f"| `{case.name}` | {case.does} | `{case.state}` | "
        f"{'`fetched`' if case.state_after_round != case.state else ''} |"
        for case in cases
    ]
