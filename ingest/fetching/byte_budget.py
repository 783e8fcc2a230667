"""How many bytes a bucket may fetch in a first try, and which images that leaves out.

Images are asked for in portions, some at one time. Whether a portion is asked for is told by the
bytes of the shards before its own, and of those portions of its own that have always ended when its
turn comes. So no order of answers shows, and none of kills: a shard begins anew or is finished.
"""

from dataclasses import dataclass, field

from openalign.ingest.config import FetchConfig

PORTIONS_AT_ONCE = 4

BYTES_OF_AN_IMAGE = 50_000
"""A guess at what an image of the web has; a portion is as many as spend an eighth of the share."""

MOST_IN_A_PORTION = 1024


@dataclass(slots=True)
class Portion:
    """Images that are asked for together, or not at all."""

    num_open: int
    is_asked: bool
    num_bytes: int = 0

    def ended(self, num_bytes: int) -> None:
        """Count the end of an image and the bytes of its file, 0 if it was not stored."""
        self.num_open -= 1
        self.num_bytes += num_bytes


@dataclass(slots=True)
class ByteBudget:
    """A bucket's share of `fetch.max_total_bytes`, while its shards are filled one by one."""

    share: float
    _before: int = 0
    """Bytes of the shards that are finished."""

    _portions: list[Portion] = field(default_factory=list[Portion])
    """Those of the shard that is filled."""

    @property
    def portion(self) -> int:
        """Images that are asked for together."""
        return max(1, min(MOST_IN_A_PORTION, round(self.share / 8 / BYTES_OF_AN_IMAGE)))

    def next_portion(self, num_images: int) -> Portion | None:
        """Return the next portion of the shard, or None until an earlier one has ended."""
        known = max(0, len(self._portions) - PORTIONS_AT_ONCE + 1)
        if known and self._portions[known - 1].num_open:
            return None
        spent = self._before + sum(portion.num_bytes for portion in self._portions[:known])
        is_asked = spent < self.share
        portion = Portion(num_open=num_images if is_asked else 0, is_asked=is_asked)
        self._portions.append(portion)
        return portion

    def next_shard(self, num_bytes: int) -> None:
        """Count a shard that is finished."""
        self._before += num_bytes
        self._portions.clear()


def share_of_budget(config: FetchConfig) -> float | None:
    """Return the bytes that a bucket may fetch; None for all."""
    total = config.max_total_bytes
    return None if total is None else total / config.num_buckets
