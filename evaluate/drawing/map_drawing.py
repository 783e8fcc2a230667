"""The map of images as the report draws it: small pictures in a plane, framed by class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.image_map import ImageMap, MappedImage
from openalign.evaluate.drawing.tiles import Tiles

_WIDTH, _HEIGHT = 480, 320
_PICTURE = 17

_MOST_COLORS = 8
"""More cannot be told apart; the rarer classes share one more."""

_OTHERS = "other classes"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnImage:
    """An image of the map; `x` and `y` are its upper left corner, in the units of the drawing."""

    x: str
    y: str
    src: str
    words: str
    """Its caption, and its class where it is known and another word; never empty."""

    color: int
    """Which of the colors; 0 where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnClass:
    """A line of the legend."""

    title: str
    num_images: int
    color: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MapDrawing:
    """All that the template draws."""

    benchmark: str
    split: str
    num_images: int
    """Of the split."""

    images: Sequence[DrawnImage]
    classes: Sequence[DrawnClass]
    """The most frequent first; none where no class is known."""

    width: int = _WIDTH
    height: int = _HEIGHT
    side: int = _PICTURE
    """Of each small picture, as `width` and `height` in the units of the drawing."""


def draw_map(found: ImageMap, tiles: Tiles) -> MapDrawing | None:
    """Return what is drawn of a map; None where it has no image."""
    if not found.images:
        return None
    counts = Counter(image.class_ for image in found.images if image.class_)
    ranked = sorted(counts, key=lambda class_: (-counts[class_], class_))
    colors = {class_: min(at, _MOST_COLORS) + 1 for at, class_ in enumerate(ranked)}
    drawn: list[DrawnImage] = []
    for image in found.images:
        tile = tiles.tile(image.name)
        drawn.append(
            DrawnImage(
                x=f"{image.x * (_WIDTH - _PICTURE):.1f}",
                y=f"{image.y * (_HEIGHT - _PICTURE):.1f}",
                src=tile.src,
                words=_words(image, tile.caption),
                color=colors.get(image.class_, 0),
            )
        )
    return MapDrawing(
        benchmark=found.benchmark,
        split=found.split,
        num_images=found.num_images,
        images=drawn,
        classes=_legend(ranked, counts),
    )


def _words(image: MappedImage, caption: str) -> str:
    title = caption.strip() or image.class_ or image.name
    return title if image.class_ in ("", title) else f"{title} ({image.class_})"


def _legend(ranked: Sequence[str], counts: Counter[str]) -> list[DrawnClass]:
    """Return a line a color; the last one is of all the rarer classes."""
    legend = [
        DrawnClass(title=class_, num_images=counts[class_], color=at + 1)
        for at, class_ in enumerate(ranked[:_MOST_COLORS])
    ]
    rarer = ranked[_MOST_COLORS:]
    if rarer:
        title = rarer[0] if len(rarer) == 1 else _OTHERS
        num_images = sum(counts[class_] for class_ in rarer)
        legend.append(DrawnClass(title=title, num_images=num_images, color=_MOST_COLORS + 1))
    return legend
