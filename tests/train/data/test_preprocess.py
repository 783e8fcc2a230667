import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from openalign.errors import InputError
from openalign.files.folder import opened
from openalign.train.data.preprocess import (
    SPECIAL_TOKENS,
    Preprocess,
    build_tokenizer,
    center_crop,
    read_pixels,
    squashed,
    to_tensor,
    tokenize,
)

VOCABULARY = [*SPECIAL_TOKENS, "red", "circle", "##s", "é", "a"]


def png(image: Image.Image) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


def loaded(folder: Path) -> Preprocess:
    with opened(str(folder)) as files:
        return Preprocess.load(files)


def test_an_image_is_squashed_to_a_square() -> None:
    """Two halves, black above white, stay two halves whatever the shape was."""
    image = np.zeros((8, 40, 3), dtype=np.uint8)
    image[4:] = 255

    pixels = read_pixels(png(Image.fromarray(image)), resize_px=4)

    assert pixels.shape == (4, 4, 3)
    assert pixels[0].max() == 0
    assert pixels[3].min() == 255


def test_transparency_becomes_white() -> None:
    pixels = read_pixels(png(Image.new("RGBA", (4, 4), (255, 0, 0, 0))), resize_px=4)

    assert (pixels == 255).all()


def test_half_transparency_is_mixed_with_white() -> None:
    """A black of alpha 128 over white is 255 - 128."""
    pixels = read_pixels(png(Image.new("RGBA", (4, 4), (0, 0, 0, 128))), resize_px=4)

    assert (pixels == 127).all()


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGB"])
def test_every_kind_of_image_becomes_rgb(mode: str) -> None:
    sink = io.BytesIO()
    Image.new(mode, (6, 5)).save(sink, "TIFF" if mode == "CMYK" else "PNG")

    assert read_pixels(sink.getvalue(), resize_px=4).shape == (4, 4, 3)


def test_a_turned_image_is_set_upright() -> None:
    """EXIF orientation 6 says: turn a quarter to the right; left becomes top."""
    image = Image.new("RGB", (16, 16), "black")
    image.paste("white", (0, 0, 8, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    sink = io.BytesIO()
    image.save(sink, "PNG", exif=exif)

    pixels = read_pixels(sink.getvalue(), resize_px=16)

    assert pixels[0].min() == 255
    assert pixels[15].max() == 0


@pytest.mark.parametrize(
    "size",
    [
        pytest.param((191, 200), id="whole, below twice the doubled side"),
        pytest.param((192, 200), id="a half"),
        pytest.param((400, 1000), id="a quarter"),
        pytest.param((900, 800), id="an eighth"),
        pytest.param((30, 20), id="enlarged"),
    ],
)
def test_a_jpeg_is_read_at_the_scale_of_pillows_draft(size: tuple[int, int]) -> None:
    """The slow and obvious way: Pillow's draft at twice the pixels needed, then the square."""
    noise = np.random.default_rng(0).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(sink, "JPEG")
    with Image.open(sink) as file:
        file.draft("RGB", (96, 96))
        expected = np.asarray(file.resize((48, 48), Image.Resampling.BILINEAR)).astype(int)

    differences = np.abs(read_pixels(sink.getvalue(), resize_px=48) - expected)

    assert differences.max() <= 1  # another rounding: see `squashed`
    assert differences.mean() <= 0.01


def test_a_square_is_the_mean_of_what_each_pixel_covers_by_the_filter() -> None:
    """Eight columns to four. The bilinear filter is a triangle that spans two new pixels.

    New column 1 has its middle at 3.0. Old ones 1 to 4 lie 1.5, 0.5, 0.5 and 1.5 from it: they
    weigh 1/8, 3/8, 3/8, 1/8. The first column misses old number -1: 3/7, 3/7, 1/7 are left.
    """
    row = np.array([80, 0, 0, 160, 240, 0, 0, 240], dtype=np.uint8)
    image = np.broadcast_to(row[None, :, None], (8, 8, 3)).copy()

    square = squashed(image, 4, Image.Resampling.BILINEAR)

    # 80 * 3/7 = 34.3; (3 * 160 + 240) / 8 = 90; (160 + 3 * 240) / 8 = 110; 240 * 3/7 = 102.9
    assert square[2, :, 1].tolist() == [34, 90, 110, 103]
    assert (square == square[2, :, 1][None, :, None]).all()


@pytest.mark.parametrize(
    ("resample", "mean_of_differences"),
    [
        pytest.param(Image.Resampling.BILINEAR, 0.01, id="bilinear"),
        pytest.param(Image.Resampling.BICUBIC, 0.02, id="bicubic"),
        pytest.param(Image.Resampling.LANCZOS, 0.0, id="lanczos, Pillow's own"),
        pytest.param(Image.Resampling.NEAREST, 0.0, id="nearest, Pillow's own"),
    ],
)
@pytest.mark.parametrize("size", [(96, 61), (300, 70), (20, 30), (1, 1), (48, 50)])
def test_a_square_is_pillows_but_for_single_roundings(
    resample: Image.Resampling, mean_of_differences: float, size: tuple[int, int]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(noise).resize((48, 48), resample)).astype(int)

    differences = np.abs(squashed(noise, 48, resample) - expected)

    assert differences.max() <= (1 if mean_of_differences else 0)
    assert differences.mean() <= mean_of_differences


def test_a_square_is_the_same_without_vector_instructions() -> None:
    """Machines differ in them, and trained weights must not."""
    made = [
        subprocess.run(
            [sys.executable, "-c", _SQUARES_TOLD],
            env={**os.environ, "ATEN_CPU_CAPABILITY": capability},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for capability in ("default", torch.backends.cpu.get_cpu_capability().lower())
    ]

    assert made[0] == made[1] != ""


_SQUARES_TOLD = """
import hashlib
import numpy as np
from openalign.train.data.preprocess import squashed
for number, (height, width) in enumerate([(61, 96), (500, 333), (30, 20)]):
    image = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for resample in (2, 3):
        print(hashlib.sha256(squashed(image, 48, resample).tobytes()).hexdigest())
"""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "its first bytes are those of no image", id="nothing"),
        pytest.param(b"<html>not found</html>", "HTML: this is no image", id="a page"),
        pytest.param(
            png(Image.new("RGB", (64, 64)))[:60], "PNG: it ends before its pixels do", id="cut off"
        ),
    ],
)
def test_what_is_no_image_is_refused_and_says_why(content: bytes, why: str) -> None:
    with pytest.raises(InputError, match=f"an image cannot be decoded: {why}"):
        read_pixels(content, resize_px=4)


@pytest.mark.parametrize(
    ("side_px", "crop_px", "expected"),
    [
        pytest.param(6, 2, [2, 3], id="even margin"),
        pytest.param(5, 2, [1, 2], id="odd margin: the smaller half is above and left"),
        pytest.param(3, 3, [0, 1, 2], id="no margin"),
    ],
)
def test_evaluation_sees_the_middle(side_px: int, crop_px: int, expected: list[int]) -> None:
    rows = np.broadcast_to(np.arange(side_px, dtype=np.uint8)[:, None, None], (side_px,) * 2 + (3,))

    crop = center_crop(rows[None], crop_px)

    assert crop.shape == (1, crop_px, crop_px, 3)
    assert crop[0, :, 0, 0].tolist() == expected


def test_pixels_lie_between_minus_one_and_one_channels_last() -> None:
    images = np.zeros((2, 4, 5, 3), dtype=np.uint8)
    images[0, 1, 2] = (0, 51, 255)

    tensor = to_tensor(images)

    assert tensor.shape == (2, 3, 4, 5)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    # 51 / 127.5 - 1 = -0.6
    assert tensor[0, :, 1, 2].tolist() == pytest.approx([-1.0, -0.6, 1.0])


def test_every_value_is_divided_and_moved_as_torch_does_it_and_the_image_stays() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    values.flags.writeable = False

    tensor = to_tensor(values[:, ::-1].transpose(0, 2, 1, 3))

    expected = torch.arange(256).to(torch.float32).div_(127.5).sub_(1.0).reshape(16, 16).flip(0).T
    assert torch.equal(tensor[0, 0], expected)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    tensor.add_(1.0)  # a tensor of its own
    assert values[0, 15, 15].tolist() == [255, 255, 255]


def test_texts_become_pieces_between_their_marks() -> None:
    tokenizer = build_tokenizer(VOCABULARY, Preprocess(max_tokens=8))

    ids, mask = tokenize(tokenizer, ["Red circles", "blue"])

    # [CLS] red circle ##s [SEP]; [CLS] [UNK] [SEP] and padding
    assert ids.tolist() == [[2, 5, 6, 7, 3], [2, 1, 3, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert ids.dtype == torch.int64


def test_a_long_text_is_cut_and_keeps_its_end_mark() -> None:
    tokenizer = build_tokenizer(VOCABULARY, Preprocess(max_tokens=4))

    ids, _ = tokenize(tokenizer, ["red red red red red"])

    assert ids.tolist() == [[2, 5, 5, 3]]


def test_case_is_folded_by_setting_and_accents_stay() -> None:
    folded = build_tokenizer(VOCABULARY, Preprocess(lowercase=True))
    exact = build_tokenizer(VOCABULARY, Preprocess(lowercase=False))

    assert tokenize(folded, ["É"]).ids.tolist() == [[2, 8, 3]]
    assert tokenize(exact, ["É"]).ids.tolist() == [[2, 1, 3]]


def test_a_text_that_spells_a_mark_is_not_taken_for_one_in_the_middle() -> None:
    """`[SEP]` in an alt-text is one id, not four; it cannot shift the first token."""
    tokenizer = build_tokenizer(VOCABULARY, Preprocess())

    assert tokenize(tokenizer, ["red [SEP] red"]).ids.tolist() == [[2, 5, 3, 5, 3]]


def test_settings_travel_with_a_folder(tmp_path: Path) -> None:
    settings = Preprocess(resize_px=56, crop_px=48, max_tokens=16, lowercase=False)

    settings.save(str(tmp_path))

    assert loaded(tmp_path) == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"resize_px": 8', "is not JSON", id="cut off"),
        pytest.param(
            '{"resize_px": 8, "crop_px": 4, "max_tokens": 9}', "field `lowercase`", id="a key less"
        ),
        pytest.param(
            '{"resize_px": 8, "crop_px": 4, "max_tokens": 9, "lowercase": true, "side": 4}',
            "unknown field `side`",
            id="a key more",
        ),
        pytest.param(
            '{"resize_px": "8", "crop_px": 4, "max_tokens": 9, "lowercase": true}',
            r"Expected `int`, got `str` - at `\$.resize_px`",
            id="a text for a number",
        ),
        pytest.param(
            '{"resize_px": 8, "crop_px": 4, "max_tokens": 9, "lowercase": "no"}',
            r"Expected `bool`, got `str` - at `\$.lowercase`",
            id="a text for a flag",
        ),
        pytest.param(
            '{"resize_px": 8, "crop_px": 9, "max_tokens": 9, "lowercase": true}',
            "preprocess.json: `crop_px` 9 must not be above `resize_px` 8",
            id="a crop of more than all",
        ),
        pytest.param(
            '{"resize_px": 8, "crop_px": 4, "max_tokens": 2, "lowercase": true}',
            r"Expected `int` >= 3 - at `\$.max_tokens`",
            id="no word",
        ),
    ],
)
def test_settings_of_our_own_that_were_changed_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "preprocess.json").write_text(text)

    with pytest.raises(InputError, match=message):
        loaded(tmp_path)


def test_evaluation_pixels_are_decoded_cropped_and_scaled() -> None:
    image = np.full((6, 6, 3), 255, dtype=np.uint8)
    image[0] = 0

    pixels = Preprocess(resize_px=6, crop_px=4).pixels([png(Image.fromarray(image))])

    assert pixels.shape == (1, 3, 4, 4)
    assert pixels.min() == 1.0  # the dark border is outside the middle
