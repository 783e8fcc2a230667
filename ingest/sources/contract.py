"""The contract of a source kind: what it offers, and what its reading receives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from openalign.ingest.web.config import WebConfig
from openalign.ingest.webpage.texts import TextKind

if TYPE_CHECKING:
    import apache_beam as beam

    from openalign.engines.jobs import Attempt


class SourceSettings(Protocol):
    """The settings that every kind has."""

    @property
    def kind(self) -> str:
        """Name of the kind, as the table has it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSetup:
    """What a reading receives beside its source's settings."""

    web: WebConfig
    """How the web is asked, for a kind that asks it."""

    texts: tuple[TextKind, ...]
    """Which texts of a page's images make pairs, for a kind that reads pages."""

    work: str
    """Folder for what a rerun goes on from."""

    attempt: "Attempt"
    """The job's attempt. A reading that keeps something in `work` requires it before it writes: a
    worker can outlive its job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnImages:
    """Where the images of a source lie that has them already, and asks no host for them."""

    folder: str
    """The folder or URL that locators are relative to."""

    stay: bool
    """Whether training reads them where they lie; otherwise fetch stores them in shards."""


S = TypeVar("S", bound=SourceSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind(Generic[S]):
    """One way of finding candidates."""

    settings: type[S]

    check: Callable[[S], None]
    """Check that the source can be read, before anything starts. Raises InputError."""

    reading: "Callable[[S, ReadingSetup], beam.PTransform[Any, Any]]"
    """Return the transform that reads the source: from an empty pipeline to a collection of
    `Harvested`. Imports its libraries itself. Two reads must give the same pieces."""

    fingerprint: Callable[[S, str], str] | None = None
    """Return the hash of what the source holds; None for a kind whose content is only known once
    it has been read, such as the web. The second argument is the URL of a cache for
    `files.hash_cache`, which knows files that did not change without reading them."""

    own_images: Callable[[S], OwnImages] | None = None
    """Return where the images lie; None for a kind whose images are on the web. Such a kind gives
    each candidate a `locator`, and the sha256 that the image's bytes had. Nothing is read here."""

    asks_web: bool = False
    """Whether hosts are asked through the polite client: such a harvest needs a contact."""

    with_web: "Callable[[WebConfig], SourceKind[S]] | None" = None
    """Return this kind with a check and a fingerprint that ask web servers as the settings say;
    None for a kind whose check and fingerprint ask none."""

    judges_pages: bool = False
    """Whether pages are read that somebody else has fetched: what they withhold is judged by the
    settings of the web, which are then part of the result's identity."""
