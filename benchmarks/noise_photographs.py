"""Images that benchmarks share: noise with a photograph's spectrum, as JPEGs."""

import io

import numpy as np
from PIL import Image


def photograph(size: tuple[int, int], seed: int) -> Image.Image:
    """Return noise whose amplitude falls with frequency as a photograph's does."""
    width, height = size
    rng = np.random.default_rng(seed)
    distance = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    distance[0, 0] = 1.0
    planes = []
    for _ in range(4):  # one that the channels share, and one of each
        waves = rng.normal(size=distance.shape) + 1j * rng.normal(size=distance.shape)
        plane = np.fft.irfft2(waves / distance**1.4, s=(height, width))
        planes.append(plane / plane.std())
    colors = np.stack([128 + 40 * planes[0] + 20 * own for own in planes[1:]], axis=-1)
    return Image.fromarray(np.clip(colors, 0, 255).astype(np.uint8))


def jpeg_of(image: Image.Image) -> bytes:
    """Return an image as a JPEG of quality 85."""
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=85)
    return sink.getvalue()
