"""Whether an image that was asked for is taken, and what is stored of it."""

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from openalign.files.removals import Removals
from openalign.files.states import FetchState
from openalign.images.headers import ImageError, read_size
from openalign.images.stored import ImageFacts, StoredImage, inspect, store
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching.images_in_place import OwnImage
from openalign.ingest.fetching.setup import HeaderRule
from openalign.ingest.fetching.supply import ConvertedImage
from openalign.ingest.web.answers import Glance, Head, Refusal
from openalign.ingest.web.outcomes import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageJudge:
    """Judges images by the settings of a fetch."""

    config: FetchConfig
    header_rule: HeaderRule | None
    removals: Removals
    are_stored: bool
    """Whether images are stored; those that stay where they lie are only looked at."""

    def look(self, _: Head | None, body: bytes) -> Glance | Refusal:
        """Judge an image by its first bytes: its format, its size, its shape."""
        try:
            size = read_size(body)
        except ImageError as error:
            return _refusal(error)
        if size is None:
            return Glance.MORE
        return self._refusal_of_size(*size) or Glance.TAKE

    def judge_redirect(self, _: str, target: str) -> Refusal | None:
        """Refuse a redirect to an address that is left out."""
        if not self.removals.has_address(target):
            return None
        return Refusal(state=FetchState.REMOVED, detail="a redirect leads to what is listed")

    def take(
        self, image: Response | OwnImage | ConvertedImage, *, expected: Collection[str]
    ) -> ImageFacts | StoredImage | Refusal:
        """Return the facts about an image, with its file where it is to be stored.

        `expected` holds the sha256 that were promised, if any.
        """
        body = image.body
        if expected or len(self.removals.contents):
            refusal = self._refusal_of_hash(hashlib.sha256(body).hexdigest(), expected)
            if refusal is not None:
                return refusal
        # Judged again with the whole body: some formats show their size only then.
        seen = self.look(None, body)
        if isinstance(seen, Refusal):
            return seen
        config = self.config
        try:
            if isinstance(image, ConvertedImage):
                facts = inspect(body, max_pixels=config.max_pixels)
                made: dict[str, Any] = {"content": image.content, "ending": image.ending}
                return StoredImage(**{**asdict(facts), **made})
            if not self.are_stored:
                return inspect(body, max_pixels=config.max_pixels)
            return store(body, config.stored_form, max_pixels=config.max_pixels)
        except ImageError as error:
            return _refusal(error)

    def _refusal_of_hash(self, sha256: str, expected: Collection[str]) -> Refusal | None:
        if expected and sha256 not in expected:
            return Refusal(state=FetchState.HASH_MISMATCH, detail=f"sha256 is {sha256}")
        if self.removals.has_content(sha256):
            return Refusal(state=FetchState.REMOVED, detail=f"its sha256, {sha256}, is listed")
        return None

    def _refusal_of_size(self, width_px: int, height_px: int) -> Refusal | None:
        if width_px * height_px > self.config.max_pixels:
            state = FetchState.TOO_MANY_PIXELS
        elif self.header_rule is None or (state := self.header_rule(width_px, height_px)) is None:
            return None
        return Refusal(state=state, detail=f"{width_px} x {height_px} pixels")


def _refusal(error: ImageError) -> Refusal:
    return Refusal(state=FetchState(error.reason.value), detail=error.detail)
