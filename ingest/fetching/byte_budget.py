"""How many bytes a bucket may fetch in a first try, and which images that leaves out.

While the budget is far, shards are filled as ever, some at one time. Then they are filled one by
one, and images are asked for in portions, each a part of what is left. Whether a shard or portion
is asked for, and how large a portion is, is told by the shards and portions alone that have always
ended when its turn comes. So no order of answers shows, and none of kills: a shard begins anew or
is finished.
"""

from dataclasses import dataclass, field

from openalign.files.states import FetchState
from openalign.ingest.config import FetchConfig

PORTIONS_AT_ONCE = 4

BYTES_OF_AN_IMAGE = 50_000
"""A guess at what an image of the web has, until the first ones have ended."""

LEAST_PORTION = 4
"""Images; so many are in each portion until the first has ended."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Images that were asked for, and the bytes of their files."""

    num_images: int = 0
    num_bytes: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        """Return the sum of both."""
        return Spent(self.num_images + other.num_images, self.num_bytes + other.num_bytes)

    @property
    def mean(self) -> float:
        """Bytes an image; the guess where nothing is known."""
        return max(1.0, self.num_bytes / self.num_images) if self.num_images else BYTES_OF_AN_IMAGE


@dataclass(slots=True)
class Portion:
    """Images that are asked for together; none once the budget is spent."""

    num_images: int
    num_bytes: int = 0
    num_ended: int = 0

    def ended(self, num_bytes: int) -> None:
        """Count the end of an image and the bytes of its file, 0 if it was not stored."""
        self.num_ended += 1
        self.num_bytes += num_bytes


@dataclass(slots=True)
class ByteBudget:
    """A bucket's share of `fetch.max_total_bytes`."""

    share: float
    images_per_shard: int
    _shards: list[Spent] = field(default_factory=lambda: [Spent()])
    """Of all shards up to each, in order."""

    _portions: list[Portion] = field(default_factory=list[Portion])
    """Those of the shard that is filled, in order."""

    _known: Spent = Spent()
    """Of the portions of this shard that count for the next one."""

    _num_known: int = 0

    def is_far(self, number: int, *, at_once: int) -> bool:
        """Tell whether a shard may be filled beside those before it, so many at one time.

        It may if as many shards, with images twice as large as those so far, do not spend all.
        """
        known = self._shards[min(max(0, number - at_once + 1), len(self._shards) - 1)]
        return known.num_bytes + 2 * at_once * self.images_per_shard * known.mean < self.share

    def shard_ended(self, images: dict[str, int], num_bytes: int) -> None:
        """Count a finished shard: its images by `FetchState`, and their bytes."""
        asked = sum(images.values()) - images.get(FetchState.NOT_TRIED, 0)
        self._shards.append(self._shards[-1] + Spent(asked, num_bytes))
        self._portions.clear()
        self._known, self._num_known = Spent(), 0

    def next_portion(self) -> Portion | None:
        """Return the next portion of the shard, or None until an earlier one has ended."""
        while self._num_known < len(self._portions) - PORTIONS_AT_ONCE + 1:
            portion = self._portions[self._num_known]
            if portion.num_ended < portion.num_images:
                return None
            self._known += Spent(portion.num_images, portion.num_bytes)
            self._num_known += 1
        known = self._shards[-1] + self._known
        is_spent = known.num_bytes >= self.share
        portion = Portion(0 if is_spent else self._size_of_a_portion(known))
        self._portions.append(portion)
        return portion

    def _size_of_a_portion(self, known: Spent) -> int:
        """Return an eighth of the images that are likely to spend what is left."""
        least = max(1, min(LEAST_PORTION, round(self.share / 8 / BYTES_OF_AN_IMAGE)))
        if not known.num_images:
            return least
        under_way = sum(portion.num_images for portion in self._portions[self._num_known :])
        left = self.share - known.num_bytes - under_way * known.mean
        return max(least, int(left / 8 / known.mean))


def budget_of(config: FetchConfig) -> ByteBudget | None:
    """Return the budget of a bucket; None where it may fetch all."""
    total = config.max_total_bytes
    if total is None:
        return None
    return ByteBudget(total / config.num_buckets, config.images_per_shard)
