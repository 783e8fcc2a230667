"""Images as benchmarks really hold them: gray, CMYK, and under the name of another format."""

import io
from pathlib import Path

from PIL import Image


def encoded(color: str, *, mode: str = "RGB", form: str = "JPEG", side: int = 12) -> bytes:
    """Return an image of one color."""
    content = io.BytesIO()
    Image.new("RGB", (side, side), color).convert(mode).save(content, form)
    return content.getvalue()


ODD_IMAGES = {
    "gray.jpg": encoded("gray", mode="L"),
    "cmyk.jpg": encoded("red", mode="CMYK"),
    "png.JPEG": encoded("blue", form="PNG"),
}
"""Each by a file name that says nothing of what is odd about it, or the wrong thing."""


def write_images(folder: Path, *names: str) -> None:
    """Write images of these names below a folder: the odd ones first, then plain ones."""
    odd = list(ODD_IMAGES.values())
    for number, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(odd[number] if number < len(odd) else encoded("green"))
