"""Images that cannot be decoded: which they are, why, and how many a run goes without."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.lines import one_line

_NAMED = 10
"""Images that an error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableImage:
    """An image that cannot be decoded."""

    benchmark: str
    image: BenchmarkImage
    reason: str


def check_bound(
    unreadable: Sequence[UnreadableImage], *, num_images: int, max_bad_images: int
) -> None:
    """Refuse more than may be left out of `num_images`.

    Raises:
        InputError: counts the images, names the first and says which setting lets the run go on.
    """
    if len(unreadable) <= max_bad_images:
        return
    lines = [
        one_line(f"{each.benchmark}: {each.image.where}: {each.reason}")
        for each in unreadable[:_NAMED]
    ]
    if len(unreadable) > _NAMED:
        lines.append(f"and {len(unreadable) - _NAMED:,} more")
    counted = (
        f"{len(unreadable):,} of {num_images:,} images cannot be used, and {max_bad_images:,} may "
        "be left out:"
    )
    raise InputError(
        "\n  ".join([counted, *lines]),
        hint="mend or replace them; or go on without them by "
        f"`evaluate.max_bad_images: {len(unreadable)}` (--set evaluate.max_bad_images="
        f"{len(unreadable)}), and results will name them",
    )
