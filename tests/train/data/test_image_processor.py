import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from image_encoders import encode, exif, png
from odd_images import OddImage, odd_images
from PIL import Image
from transformers import EfficientNetImageProcessorPil
from transformers.image_utils import load_image

from openalign.errors import InputError
from openalign.images.decoding import Policy
from openalign.train.data.image_processor import ImageProcessor
from openalign.train.saved_files import PROCESSOR_FILES

from saved_align import ALIGN_BASE, read_processor, save_processor  # isort: skip

GRID: dict[str, dict[str, Any]] = {
    "align-base": ALIGN_BASE,
    "the class's own defaults": {},
    "a margin of odd width": {"size": 41, "do_center_crop": True, "crop_size": 32},
    "not square": {
        "size": {"height": 30, "width": 50},
        "do_center_crop": True,
        "crop_size": {"height": 21, "width": 44},
    },
    "a crop larger than the image": {
        "size": [30, 50],
        "do_center_crop": True,
        "crop_size": [43, 52],
    },
    "a crop that is higher and narrower": {
        "size": [30, 50],
        "do_center_crop": True,
        "crop_size": [43, 21],
    },
    "a crop of what is not resized": {
        "do_resize": False,
        "do_center_crop": True,
        "crop_size": {"height": 33, "width": 36},
    },
    "the shorter side": {
        "size": {"shortest_edge": 24},
        "do_center_crop": True,
        "crop_size": {"height": 24, "width": 24},
    },
    "the shorter side as a number": {
        "size": 31,
        "default_to_square": False,
        "do_center_crop": True,
        "crop_size": 30,
    },
    "nearest": {"size": 31, "resample": 0},
    "lanczos": {"size": 31, "resample": 1},
    "box": {"size": 31, "resample": 4},
    "hamming": {"size": 31, "resample": 5},
    "ImageNet's mean and deviation": {
        "size": 31,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "include_top": False,
    },
    "normalized twice": {
        "size": 31,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "include_top": True,
    },
    "one number for all colors": {"size": 31, "image_mean": 0.25, "image_std": 0.7},
    "an offset before the mean": {"size": 31, "rescale_factor": 1 / 127.5, "rescale_offset": True},
    "an offset that nothing rescales": {"size": 31, "do_rescale": False, "rescale_offset": True},
    "values as they are": {
        "size": 31,
        "do_rescale": False,
        "do_normalize": False,
        "include_top": False,
    },
    "divided only": {"size": 31, "do_rescale": False, "do_normalize": False},
    "a conversion that changes nothing": {"size": 31, "do_convert_rgb": True},
}


def noise(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    width, height = size
    values = np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)
    rough = Image.fromarray(values, "RGBA" if mode == "RGBA" else None)
    smooth = rough.convert("RGBA").resize((3 * width, 3 * height), Image.Resampling.BICUBIC)
    return smooth.resize(size).convert(mode)


def contents() -> dict[str, bytes]:
    """Return image files of odd sizes, as `load_image` takes them."""
    palette = noise((47, 31)).quantize(16)
    transparent = bytes([0, 128, *([255] * 14)])
    return {
        "jpeg": encode(noise((61, 37))),
        "gray jpeg": encode(noise((37, 61), "L")),
        "cmyk jpeg": encode(noise((45, 33), "CMYK")),
        "large jpeg": encode(noise((403, 301))),
        "turned jpeg": encode(noise((61, 37)), exif=exif(6)),
        "mirrored png": encode(noise((30, 90)), "PNG", exif=exif(5)),
        "png with alpha": encode(noise((50, 41), "RGBA"), "PNG"),
        "gray png with alpha": encode(noise((50, 41), "LA"), "PNG"),
        "palette": encode(palette, "PNG"),
        "palette with alpha": encode(palette, "PNG", transparency=transparent),
        "one bit": encode(noise((35, 29), "1"), "PNG"),
        "rgb of 16 bits": png([(9, 500, 65535)] * 4, depth=16, color_type=2),
        "one pixel wide": encode(noise((1, 90)), "PNG"),
        "one pixel high": encode(noise((90, 1))),
        "one pixel": encode(noise((1, 1)), "PNG"),
    }


def loaded(content: bytes) -> Image.Image:
    return load_image(Image.open(io.BytesIO(content)))


def library_pixels(processor: EfficientNetImageProcessorPil, content: bytes) -> npt.NDArray[Any]:
    pixels: Any = processor(images=loaded(content), return_tensors="np")
    return pixels["pixel_values"][0]


def prepared(processor: ImageProcessor, content: bytes) -> npt.NDArray[np.float32]:
    return processor.pixels([content])[0].numpy()


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")  # the library's own
@pytest.mark.parametrize("options", [pytest.param(GRID[name], id=name) for name in GRID])
def test_pixels_are_those_of_the_librarys_pil_back_end(
    options: dict[str, Any], tmp_path: Path
) -> None:
    theirs = save_processor(tmp_path, options)
    ours = read_processor(tmp_path)

    for name, content in contents().items():
        found = prepared(ours, content)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, library_pixels(theirs, content), err_msg=name)
        assert found.shape[1:] == ours.output_px


@pytest.mark.parametrize(
    "options",
    [
        {"size": 31, "crop_size": 24},
        {"size": [31, 44], "crop_size": [24, 29]},
        {"size": 31, "default_to_square": False, "crop_size": 24},
        {"size": None, "crop_size": [24, 24], "do_resize": None},
        {"rescale_offset": None, "do_normalize": None, "include_top": None, "image_std": None},
        {"do_rescale": None, "rescale_factor": None},
    ],
    ids=str,
)
def test_options_of_an_odd_form_are_read_as_the_library_reads_them(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """Sizes as numbers and lists, which newer versions write as objects; null, which is off."""
    (tmp_path / PROCESSOR_FILES[1]).write_text(json.dumps(ALIGN_BASE | options))
    theirs = EfficientNetImageProcessorPil.from_pretrained(tmp_path)
    content = contents()["jpeg"]

    np.testing.assert_array_equal(
        prepared(read_processor(tmp_path), content), library_pixels(theirs, content)
    )


DEEP = ("gray png of 16 bits", "gray tiff")
REFUSED_THERE = ("without its end marker", "with 2 MB of text and a profile of 2 MB")
ODD = [
    pytest.param(odd, id=odd.name)
    for odd in odd_images()
    if not odd.name.startswith(DEEP) and not odd.name.endswith(REFUSED_THERE)
]


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("odd", ODD)
def test_an_image_is_decoded_as_the_library_loads_it(odd: OddImage) -> None:
    width_px, height_px = odd.size
    whole = (height_px, width_px)
    processor = ImageProcessor(do_resize=False, do_center_crop=True, crop_size=whole)

    found = processor.prepared(odd.content)

    np.testing.assert_array_equal(found, np.asarray(loaded(odd.content)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_gray_ramp_of_sixteen_bits_keeps_its_high_bytes(kind: str) -> None:
    """Of deep samples the library keeps the low byte, or takes each above 255 for white."""
    ramp = np.array([[0x00FF, 0x0100], [0x7FFF, 0xFF00]], dtype=np.uint16)
    content = encode(Image.fromarray(ramp), kind)
    processor = ImageProcessor(do_resize=False, do_center_crop=True, crop_size=(2, 2))

    assert processor.prepared(content)[:, :, 0].tolist() == [[0, 1], [127, 255]]
    assert np.asarray(loaded(content))[:, :, 0].tolist() == [[255, 255], [255, 255]]


def test_images_of_a_batch_are_what_each_is_alone() -> None:
    processor = ImageProcessor(size=(30, 40))
    files = [content for name, content in contents().items() if "alpha" not in name]

    batch = processor.pixels(files)

    assert batch.shape == (len(files), 3, 30, 40)
    for pixels, content in zip(batch, files, strict=True):
        np.testing.assert_array_equal(pixels.numpy(), prepared(processor, content))


def test_defaults_are_the_librarys() -> None:
    theirs = EfficientNetImageProcessorPil()
    ours = ImageProcessor()

    for key in set(ImageProcessor.__dataclass_fields__) - {"policy"}:
        found, expected = getattr(ours, key), getattr(theirs, key)
        if key in ("size", "crop_size"):
            expected = (expected.height, expected.width)
        assert found == expected, key


def test_our_own_decoding_can_be_asked_for(tmp_path: Path) -> None:
    """White paper under what is transparent, where the library shows the color below."""
    save_processor(tmp_path, ALIGN_BASE)
    content = encode(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG")

    assert prepared(read_processor(tmp_path, Policy.OURS), content)[:, 0, 0].tolist() == [1, 1, 1]
    assert prepared(read_processor(tmp_path, Policy.PROCESSOR), content)[:, 0, 0].tolist() == [
        1,
        -1,
        -1,
    ]


def test_our_own_decoding_leaves_enough_pixels_to_resize(tmp_path: Path) -> None:
    """A JPEG is decoded at a half of its size only where twice the side asked for remains."""
    save_processor(tmp_path, ALIGN_BASE | {"size": [40, 80], "do_center_crop": False})
    content = encode(noise((330, 330)))

    half = prepared(read_processor(tmp_path, Policy.OURS), content)

    exact = prepared(read_processor(tmp_path, Policy.PROCESSOR), content)
    assert 0 < np.abs(half - exact).mean() < 2 / 127.5


def test_an_image_that_would_become_too_large_is_refused() -> None:
    processor = ImageProcessor(size=346, do_center_crop=True)

    with pytest.raises(InputError, match="1 x 4000 pixels becomes 1384000 pixels long when its"):
        processor.prepared(encode(Image.new("RGB", (1, 4000)), "PNG"))


def test_bytes_that_are_no_image_are_refused() -> None:
    with pytest.raises(InputError, match="an image cannot be decoded: "):
        ImageProcessor().pixels([b"<html>"])
