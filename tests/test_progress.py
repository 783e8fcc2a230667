"""Records of how far a process is, for the one that draws the bar."""

import pytest

from openalign import progress
from openalign.progress import ProgressRecord, display_of, read_record

AN_HOUR = 3600.0


def test_records_are_sent_once_in_a_while_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(progress.REPORTS_TO, "1")
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_RECORDS", AN_HOUR)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 5.0)  # the machine has just started
    display = display_of("train", total=4, unit="step")
    for done in range(1, 5):
        display.show(done, "loss 2.5")
    display.close()

    lines = capsys.readouterr().err.removesuffix("\n").split("\n")
    records = [read_record(line) for line in lines]
    assert records == [ProgressRecord(done=done, total=4, text="loss 2.5") for done in (1, 4)]
