import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from odd_images import OddImage, encode, exif, odd_images, png
from PIL import Image
from transformers import EfficientNetImageProcessorPil
from transformers.image_utils import load_image

from openalign.errors import InputError
from openalign.files.folder import opened
from openalign.images.decoding import Policy
from openalign.train.data.image_processor import ImageProcessor, read_image_processor

from saved_align import ALIGN_BASE, save_processor  # isort: skip

OLDER = "preprocessor_config.json"
NEWER = "processor_config.json"

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


def read(folder: Path, policy: Policy = Policy.PROCESSOR) -> ImageProcessor:
    with opened(str(folder)) as files:
        return read_image_processor(files, policy)


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(folder)
    return str(caught.value)


def loaded(content: bytes) -> Image.Image:
    return load_image(Image.open(io.BytesIO(content)))


def library_pixels(processor: EfficientNetImageProcessorPil, content: bytes) -> npt.NDArray[Any]:
    pixels: Any = processor(images=loaded(content), return_tensors="np")
    return pixels["pixel_values"][0]


def prepared(processor: ImageProcessor, content: bytes) -> npt.NDArray[np.float32]:
    return processor.pixels([content])[0].numpy()


# What is honored ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")  # the library's own
@pytest.mark.parametrize("options", [pytest.param(GRID[name], id=name) for name in GRID])
def test_pixels_are_those_of_the_librarys_pil_back_end(
    options: dict[str, Any], tmp_path: Path
) -> None:
    theirs = save_processor(tmp_path, options)
    ours = read(tmp_path)

    for name, content in contents().items():
        found = prepared(ours, content)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, library_pixels(theirs, content), err_msg=name)
        assert found.shape[1:] == ours.output_px


SIXTEEN_BITS = ("gray png of 16 bits", "gray tiff of 16 bits")
ODD = [pytest.param(odd, id=odd.name) for odd in odd_images() if odd.name not in SIXTEEN_BITS]


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
    """The one departure from the library, for which every value above 255 is white."""
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

    assert prepared(read(tmp_path, Policy.OURS), content)[:, 0, 0].tolist() == [1, 1, 1]
    assert prepared(read(tmp_path, Policy.PROCESSOR), content)[:, 0, 0].tolist() == [1, -1, -1]


def test_our_own_decoding_leaves_enough_pixels_to_resize(tmp_path: Path) -> None:
    """A JPEG is decoded at a half of its size only where twice the side asked for remains."""
    save_processor(tmp_path, ALIGN_BASE | {"size": [40, 80], "do_center_crop": False})
    content = encode(noise((330, 330)))

    half = prepared(read(tmp_path, Policy.OURS), content)

    exact = prepared(read(tmp_path, Policy.PROCESSOR), content)
    assert 0 < np.abs(half - exact).mean() < 2 / 127.5


# Both forms of the file ---------------------------------------------------------------------------


def test_the_older_file_is_read_where_the_newer_has_no_image_processor(tmp_path: Path) -> None:
    theirs = EfficientNetImageProcessorPil(**ALIGN_BASE)
    theirs.save_pretrained(tmp_path)
    assert (tmp_path / OLDER).exists()

    before = read(tmp_path)
    (tmp_path / NEWER).write_text('{"processor_class": "AlignProcessor"}')

    assert before == read(tmp_path)
    assert (before.size, before.crop_size, before.rescale_offset) == ((40, 40), (32, 32), True)


def test_keys_that_version_4_wrote_are_known(tmp_path: Path) -> None:
    older = {
        **ALIGN_BASE,
        "image_processor_type": "EfficientNetImageProcessorFast",
        "processor_class": "AlignProcessor",
        "feature_extractor_type": None,
        "_valid_processor_keys": ["images", "do_resize"],
        "data_format": "channels_first",
        "default_to_square": True,
        "device": None,
        "disable_grouping": None,
        "do_convert_rgb": None,
        "do_pad": None,
        "input_data_format": None,
        "pad_size": None,
        "return_tensors": None,
    }
    (tmp_path / OLDER).write_text(json.dumps(older))
    found = read(tmp_path)
    save_processor(tmp_path, ALIGN_BASE)

    assert read(tmp_path) == found


def test_two_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    save_processor(tmp_path, ALIGN_BASE)
    other: dict[str, Any] = ALIGN_BASE | {"resample": 3}
    EfficientNetImageProcessorPil(**other).save_pretrained(tmp_path)

    assert f"{NEWER} and {OLDER} contradict each other: `resample` is 2 and 3" in refusal(tmp_path)


@pytest.mark.parametrize("newer", ["{}", '{"image_processor": {}}'])
def test_a_folder_that_says_nothing_of_its_images_is_refused(newer: str, tmp_path: Path) -> None:
    assert "says nothing about its images: neither" in refusal(tmp_path)

    (tmp_path / NEWER).write_text(newer)
    assert "says nothing about its images: neither" in refusal(tmp_path)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"blur": 1}, "unknown field `blur`", id="unknown"),
        pytest.param(
            {"image_processor_type": "CLIPImageProcessor"},
            "`image_processor_type` must be absent, 'EfficientNetImageProcessor', ",
            id="another type",
        ),
        pytest.param({"do_resize": 1}, "Expected `bool | null`, got `int`", id="a number as flag"),
        pytest.param({"rescale_factor": "1"}, "Expected `float | null`, got `str`", id="text"),
        pytest.param({"rescale_factor": 0.0}, "Expected `float` > 0.0", id="nothing left"),
        pytest.param({"resample": 6}, "Expected `int` <= 5 - at `$.resample`", id="filter"),
        pytest.param({"do_pad": True}, "`do_pad` must be absent, False, got True", id="padding"),
        pytest.param(
            {"data_format": "channels_last"},
            "`data_format` must be absent, 'channels_first', got 'channels_last'",
            id="channels last",
        ),
        pytest.param(
            {"image_mean": [0.5, 0.5]},
            "`image_mean` must be a number or 3 numbers, got [0.5, 0.5]",
            id="two colors",
        ),
        pytest.param(
            {"image_std": [0.5, 0.0, 0.5]},
            "`image_std` must be a number or 3 numbers above zero, got [0.5, 0.0, 0.5]",
            id="no deviation",
        ),
        pytest.param(
            {"size": {"longest_edge": 40}},
            "`size` must be a number, [height, width] or {'height': ..., 'width': ...}, of 1 to "
            "4096 pixels (or `size` {'shortest_edge': ...}), got {'longest_edge': 40}",
            id="the longer side",
        ),
        pytest.param(
            {"size": {"shortest_edge": 40, "longest_edge": 60}}, "`size` must be", id="both sides"
        ),
        pytest.param({"size": [40, 40, 3]}, "`size` must be", id="three numbers"),
        pytest.param({"size": {"height": 0, "width": 4}}, "`size` must be", id="no pixels"),
        pytest.param({"size": 5000}, "of 1 to 4096 pixels", id="too large"),
        pytest.param(
            {"crop_size": {"shortest_edge": 32}}, "`crop_size` must be a number", id="crop's side"
        ),
        pytest.param(
            {"do_center_crop": False, "size": {"shortest_edge": 40}},
            "without `do_center_crop` and a `size` of height and width, images would have no",
            id="sizes of their own",
        ),
        pytest.param(
            {"do_center_crop": False, "do_resize": False}, "no common size", id="sizes as they are"
        ),
    ],
)
def test_what_is_not_honored_is_refused_by_name(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / OLDER).write_text(json.dumps(ALIGN_BASE | changes))
    older = refusal(tmp_path)
    assert message in older
    assert older.startswith(f"{tmp_path}/{OLDER}: ")

    (tmp_path / OLDER).unlink()
    (tmp_path / NEWER).write_text(json.dumps({"image_processor": ALIGN_BASE | changes}))
    assert message in refusal(tmp_path)
    assert refusal(tmp_path).startswith(f"{tmp_path}/{NEWER}: `image_processor`")


def test_code_of_a_folder_is_not_run(tmp_path: Path) -> None:
    save_processor(tmp_path, ALIGN_BASE)
    values = json.loads((tmp_path / NEWER).read_text())
    (tmp_path / NEWER).write_text(json.dumps(values | {"auto_map": {"AutoProcessor": "x.Y"}}))

    assert "`auto_map` names code to run, which is not done" in refusal(tmp_path)


def test_an_image_that_would_become_too_large_is_refused() -> None:
    processor = ImageProcessor(size=346, do_center_crop=True)

    with pytest.raises(InputError, match="1 x 4000 pixels becomes 1384000 pixels long when its"):
        processor.prepared(encode(Image.new("RGB", (1, 4000)), "PNG"))


def test_bytes_that_are_no_image_are_refused() -> None:
    with pytest.raises(InputError, match="an image cannot be decoded: "):
        ImageProcessor().pixels([b"<html>"])
