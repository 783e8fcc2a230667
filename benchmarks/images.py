"""An image's bytes to its stored form: which filter, at which scale of JPEG, beside img2dataset.

    .venv/bin/python benchmarks/images.py                       quality and speed of filters
    .venv/bin/python benchmarks/images.py --img2dataset SITE    and what img2dataset does

img2dataset pins an old webdataset, so it is installed apart: `pip install --target SITE
"albumentations<2" "opencv-python-headless<5"`, then `pip install --no-deps --target SITE
img2dataset==1.47.0`.

The images are noise with a photograph's spectrum, as JPEGs of quality 85. A filter's quality is

    PSNR      of its output beside the area filter in float64 over all pixels
    aliasing  the share of a grating's energy that is left in the output, where the grating is too
              fine for it: the mean over frequencies from the output's limit to the input's

Figures are of CPU time on one core, the median of 5, each of a pass over all images. Passes of the
contestants alternate.
"""

import argparse
import importlib.util
import io
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from noise_photographs import jpeg_of, photograph
from PIL import Image

from openalign.images.decoding import JpegScales, decode
from openalign.images.stored import store
from openalign.ingest.config import FetchConfig

SIZES = ((640, 480), (1024, 768), (2000, 1500))
FORM = FetchConfig().stored_form
REPEATS = 5
FILTERS = ("BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS")

Pixels = npt.NDArray[np.uint8]


def grating(size: tuple[int, int], cycles_per_px: float, angle: float) -> Image.Image:
    """Return gray waves of one frequency and direction."""
    y, x = np.mgrid[: size[1], : size[0]]
    phase = 2 * np.pi * cycles_per_px * (x * np.cos(angle) + y * np.sin(angle))
    gray = np.rint(127.5 + 100 * np.cos(phase)).astype(np.uint8)
    return Image.fromarray(gray).convert("RGB")


def area(pixels: Pixels, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return pixels by the area filter in float64: each is the mean of what it covers."""
    rows, columns = _means(pixels.shape[0], size[1]), _means(pixels.shape[1], size[0])
    channels = [rows @ pixels[..., c].astype(np.float64) @ columns.T for c in range(3)]
    return np.stack(channels, axis=-1)


def _means(length: int, shorter: int) -> npt.NDArray[np.float64]:
    edges = np.arange(shorter + 1) * (length / shorter)
    left, right = edges[:-1, None], edges[1:, None]
    cells = np.arange(length)[None]
    covered = np.minimum(right, cells + 1) - np.maximum(left, cells)
    return np.clip(covered, 0, None) * (shorter / length)


def stored_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a landscape image whose short side is what is stored."""
    return round(size[0] * FORM.size_px / size[1]), FORM.size_px


def resizers(cv2: Any) -> dict[str, Callable[[Image.Image, tuple[int, int]], Any]]:
    """Return the filters by name."""
    found: dict[str, Callable[[Image.Image, tuple[int, int]], Any]] = {
        f"Pillow {name}": lambda image, size, name=name: image.resize(
            size, Image.Resampling[name], reducing_gap=3.0
        )
        for name in FILTERS
    }
    if cv2 is not None:
        for name in ("INTER_AREA", "INTER_LINEAR"):
            found[f"OpenCV {name}"] = lambda image, size, name=name: cv2.resize(
                np.asarray(image), size, interpolation=getattr(cv2, name)
            )
    return found


def compare_filters(cv2: Any) -> None:
    """Print quality and milliseconds of each filter behind each way to decode."""
    for size in SIZES:
        goal = stored_size(size)
        contents = [jpeg_of(photograph(size, seed)) for seed in range(3)]
        truths = [area(np.asarray(decode(content)), goal) for content in contents]
        limit = 0.5 * goal[0] / size[0]
        waves = [
            (truth, jpeg_of(truth))
            for cycles in np.linspace(limit * 1.1, 0.48, 6)
            for angle in (0.0, 0.5, 1.2)
            for truth in [grating(size, float(cycles), angle)]
        ]
        print(f"\n{size[0]} x {size[1]} to {goal[0]} x {goal[1]}")
        print(f"{'scales':9}{'filter':22}{'PSNR':>7}{'aliasing':>10}{'decode':>8}{'filter':>8}  ms")
        for scales in JpegScales:
            for name, resize in resizers(cv2).items():
                images = decode_all(contents, scales)
                psnr = np.mean(
                    [_psnr(resize(i, goal), t) for i, t in zip(images, truths, strict=True)]
                )
                left = np.mean([_energy_left(w, c, scales, resize, goal) for w, c in waves])
                [decoding, filtering] = medians(
                    [
                        lambda c=contents, s=scales: decode_all(c, s),
                        lambda r=resize, i=images, g=goal: [r(each, g) for each in i],
                    ]
                )
                print(
                    f"{scales:9}{name:22}{psnr:7.1f}{left:10.4f}"
                    f"{decoding / len(contents):8.2f}{filtering / len(contents):8.2f}"
                )


def decode_all(contents: Sequence[bytes], scales: JpegScales) -> list[Image.Image]:
    """Return the pixels of JPEGs, at the scale that serves what is stored."""
    return [decode(content, min_side_px=FORM.size_px, scales=scales) for content in contents]


def _psnr(found: Any, truth: npt.NDArray[np.float64]) -> float:
    error = np.mean((np.asarray(found).astype(np.float64) - truth) ** 2)
    return float(10 * np.log10(255**2 / error))


def _energy_left(
    wave: Image.Image, content: bytes, scales: JpegScales, resize: Any, goal: tuple[int, int]
) -> float:
    small = np.asarray(resize(decode_all([content], scales)[0], goal))
    return float(small.astype(np.float64).var() / np.asarray(wave).astype(np.float64).var())


def compare_kernels(theirs: Callable[[bytes], Any]) -> None:
    """Print milliseconds from an image's bytes to its stored file, of both sides."""
    print(f"\n{'from bytes to file, ms':24}{'kB':>6}{'ours':>8}{'img2dataset':>13}{'ratio':>8}")
    for size in SIZES:
        contents = [jpeg_of(photograph(size, seed)) for seed in range(8)]
        ours, other = medians(
            [
                lambda c=contents: [store(each, FORM, max_pixels=10**8) for each in c],
                lambda c=contents: [theirs(each) for each in c],
            ]
        )
        ours, other = ours / len(contents), other / len(contents)
        kilobytes = sum(map(len, contents)) / len(contents) / 1000
        name = f"{size[0]} x {size[1]}"
        print(f"{name:24}{kilobytes:6.0f}{ours:8.2f}{other:13.2f}{other / ours:8.2f}")


def medians(passes: Sequence[Callable[[], Any]]) -> list[float]:
    """Return the median milliseconds of CPU time of each pass; they alternate."""
    times: list[list[float]] = [[] for _ in passes]
    for each in passes:
        each()
    for _ in range(REPEATS):
        for number, each in enumerate(passes):
            start = time.process_time()
            each()
            times[number].append((time.process_time() - start) * 1000)
    return [statistics.median(each) for each in times]


def img2datasets_resizer(site: str) -> tuple[Callable[[bytes], Any], Any]:
    """Return img2dataset's own resizer for our size, format and quality, and OpenCV."""
    sys.path.append(site)  # behind ours: it brings its own NumPy
    import cv2  # pyright: ignore[reportMissingImports]

    cv2.setNumThreads(1)
    path = Path(site) / "img2dataset" / "resizer.py"  # its package imports what is not there
    spec = importlib.util.spec_from_file_location("img2dataset_resizer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    resizer = module.Resizer(FORM.size_px, "keep_ratio", True, encode_quality=FORM.quality)
    return lambda content: resizer(io.BytesIO(content)), cv2


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="An image's bytes to its stored form.")
    parser.add_argument("--img2dataset", metavar="SITE", help="a folder with its resizer")
    site = parser.parse_args().img2dataset
    theirs, cv2 = img2datasets_resizer(site) if site else (None, None)
    print(f"Pillow {Image.__version__}, simplejpeg {simplejpeg.__version__}", end="")
    print(f", OpenCV {cv2.__version__}" if cv2 else "")
    if theirs is not None:
        compare_kernels(theirs)
    compare_filters(cv2)


if __name__ == "__main__":
    main()
