"""How the outcomes of a shard's images come: from the web, from files, from another program."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from openalign.ingest.fetching.images_in_place import OwnImage
from openalign.ingest.web.answers import Head
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedImage:
    """An image of which another program has made the file that is stored."""

    url: str
    """The address that was asked for."""

    head: Head
    body: bytes
    """The original."""

    ending: str
    """Of the shard member that holds the file: `jpg`, `png`, ..."""

    content: bytes
    """The file."""


Supplied = Outcome | OwnImage | ConvertedImage


class ImageSupply(Protocol):
    """Gives the outcomes of images."""

    def add(self, rows: pl.DataFrame) -> None:
        """Ask for the images of a shard's candidates, beside those that are open."""
        ...

    def take(self) -> Supplied | None:
        """Return an outcome, in the order in which they end; None when no image is open."""
        ...


@dataclass(frozen=True, slots=True)
class FromWeb:
    """Asks for the images of all shards at one time."""

    client: WebClient

    def add(self, rows: pl.DataFrame) -> None:
        """Ask for the images of a shard's candidates."""
        self.client.add(rows["image_url"].unique(maintain_order=True))

    def take(self) -> Supplied | None:
        """Return an outcome; None when no image is open."""
        return self.client.take()


class ShardByShard:
    """Reads the images of one shard after the other."""

    def __init__(self, read: Callable[[pl.DataFrame], Iterator[Supplied]]) -> None:
        """Read by a function that yields the outcome of each image of a shard's candidates."""
        self._read = read
        self._waiting: deque[pl.DataFrame] = deque()
        self._reading: Iterator[Supplied] = iter(())

    def add(self, rows: pl.DataFrame) -> None:
        """Read the images of a shard's candidates behind those that wait."""
        self._waiting.append(rows)

    def take(self) -> Supplied | None:
        """Return an outcome; None when no image is open."""
        while True:
            if (outcome := next(self._reading, None)) is not None:
                return outcome
            if not self._waiting:
                return None
            self._reading = self._read(self._waiting.popleft())
