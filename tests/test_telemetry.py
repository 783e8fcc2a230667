"""Messages while something runs, where there is no terminal."""

import re
import threading

import pytest

from openalign import telemetry
from openalign.telemetry import progress_line


def test_without_a_terminal_a_line_is_printed_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(telemetry, "_SECONDS_BETWEEN_LINES", 0.01)
    measured = threading.Event()
    numbers = iter(range(1_000_000))

    def measure() -> str:
        number = next(numbers)
        if number == 1:
            measured.set()
        return f"{number} pages"

    with progress_line("harvest", measure):
        assert measured.wait(60)

    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"harvest  0 pages  \d+ s", lines[0])


def test_what_ends_soon_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_line("harvest", lambda: "0 pages"):
        pass

    assert capsys.readouterr().err == ""
