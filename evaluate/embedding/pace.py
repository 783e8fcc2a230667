"""How far embedding is, how fast it goes, and how long the model waits for images."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from openalign.progress import Display
from openalign.telemetry import say

_A_MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingPace:
    """What one process, or all of them, came to."""

    made: int
    """Embeddings that were made."""

    seconds: float
    waited: float
    """Seconds in which the model had to wait until images were read and decoded."""

    @classmethod
    def together(cls, paces: "list[EmbeddingPace]") -> "EmbeddingPace":
        """Return the pace of processes that worked at the same time."""
        return cls(
            made=sum(pace.made for pace in paces),
            seconds=max(pace.seconds for pace in paces),
            waited=sum(pace.waited for pace in paces) / len(paces),
        )

    @property
    def per_second(self) -> float:
        """Embeddings a second."""
        return self.made / max(self.seconds, 1e-9)

    @property
    def waiting_share(self) -> float:
        """Share of the time in which the model waited."""
        return self.waited / max(self.seconds, 1e-9)


class PaceKeeper:
    """Counts what a process embeds, and shows it."""

    def __init__(self, total: int, display: Display | None, *, speaks: bool) -> None:
        """Begin with `total` embeddings ahead; `speaks` is set on one process of several."""
        self._total = total
        self._display = display
        self._speaks = speaks
        self._found = 0
        self._made = 0
        self._waited = 0.0
        self._started = time.monotonic()

    def found(self, number: int) -> None:
        """Count embeddings that were there already."""
        self._found += number
        self._show()

    def made(self, number: int) -> None:
        """Count embeddings that were made."""
        first = not self._made
        self._made += number
        ahead = self._total - self._found - self._made
        if first and self._speaks and ahead > 0:
            seconds = ahead / self._per_second()
            say(f"evaluate  {_duration(seconds)} for {ahead:,} more, at the speed of the first")
        self._show()

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Count the time of a block in which the model waits."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._waited += time.monotonic() - began

    def pace(self) -> EmbeddingPace:
        """Return what it came to so far."""
        seconds = time.monotonic() - self._started
        return EmbeddingPace(made=self._made, seconds=seconds, waited=self._waited)

    def close(self) -> None:
        """End the display."""
        if self._display is not None:
            self._display.close()

    def _per_second(self) -> float:
        return self._made / max(time.monotonic() - self._started, 1e-9)

    def _show(self) -> None:
        if self._display is not None:
            self._display.show(self._found + self._made, f"{self._per_second():,.0f}/s")


def _duration(seconds: float) -> str:
    if seconds < _A_MINUTE:
        return "less than a minute"
    minutes = round(seconds / _A_MINUTE)
    return f"about {minutes:,} min" if minutes < 120 else f"about {round(minutes / 60):,} h"
