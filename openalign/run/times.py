"""How long stages took, as the run's log has it."""

from openalign.files import storage
from openalign.files.names import RUN_LOG
from openalign.run.contract import Run
from openalign.telemetry import read_json_lines


def seconds_taken(run: Run) -> dict[str, float]:
    """Return how long each stage took when it was made last; nothing of a remote root."""
    log = storage.join(run.config.root, RUN_LOG)
    if not storage.is_local(log) or not storage.exists(log):
        return {}
    rows = read_json_lines(storage.read_text(log))
    return {row["stage"]: row["seconds"] for row in rows if "seconds" in row and "stage" in row}
