"""Images and alt-texts to tensors: the one module for training and evaluation.

An image is squashed to a square of `resize_px`, cropped to `crop_px` and scaled to [-1, 1]
(ALIGN §5; both public ports do the same). A text is cut into word pieces between [CLS] and [SEP].
An export carries these settings, so training and evaluation cannot drift apart.

Shape suffixes:
    B  pairs
    R  side of a resized image
    S  side of a cropped image
    T  tokens of the batch's longest text
    C  colors: red, green, blue
"""

# ruff: noqa: N803  # capitals are shape suffixes

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from msgspec import Meta
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.folder import Folder
from openalign.images import decoding
from openalign.images.decoding import JpegScales
from openalign.images.headers import ImageError
from openalign.train.data.words import (
    SPECIAL_TOKENS,
    Normalization,
    WordRules,
    normalizer,
    pre_tokenizer,
)
from openalign.train.saved_files import PREPROCESS_FILE

Pixels = npt.NDArray[np.uint8]
Colors = tuple[float, float, float]
"""A number for each of red, green and blue."""

_HALF: Colors = (0.5, 0.5, 0.5)

MOST_UNKNOWN = 0.9
"""Where a larger share of texts' tokens stands for unknown words, nearly all texts are the same."""

_TORCH_FILTERS = {Image.Resampling.BILINEAR: "bilinear", Image.Resampling.BICUBIC: "bicubic"}
"""Torch's names of the filters that it has."""


class TokenBatch(NamedTuple):
    """Word pieces of a batch, `[B, T]` each, padded to the longest text."""

    ids: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """What turns an image file and a text into what the towers take."""

    resize_px: int = 346
    crop_px: int = 289
    max_tokens: int = 64
    lowercase: bool = True
    normalization: Normalization = "none"
    split_symbols: bool = False
    resample: int = int(Image.Resampling.BILINEAR)
    """Pillow's number of the filter that resizes."""

    mean: Colors = _HALF
    std: Colors = _HALF
    """What colors from 0 to 1 are shifted and divided by; a half each gives -1 to 1."""

    @property
    def words(self) -> WordRules:
        """What decides what a word is."""
        return WordRules(
            lowercase=self.lowercase,
            normalization=self.normalization,
            split_symbols=self.split_symbols,
        )

    @property
    def output_px(self) -> tuple[int, int]:
        """Height and width of every prepared image."""
        return self.crop_px, self.crop_px

    def pixels(self, contents: Sequence[bytes]) -> Tensor:
        """Return image files as the image tower takes them outside training: middle crop."""
        images = np.stack([self.square(content) for content in contents])
        return self.normalized(to_tensor(center_crop(images, self.crop_px)))

    def square(self, content: bytes) -> Pixels:
        """Return an image file resized, `[R, R, C]`.

        Raises:
            InputError: the bytes are not an image.
        """
        return read_pixels(content, resize_px=self.resize_px, resample=self.resample)

    def normalized(self, pixels: Tensor) -> Tensor:
        """Return pixels in [-1, 1], `[B, C, S, S]`, with the model's mean and deviation instead."""
        return with_colors(pixels, self.color_scaling())

    def color_scaling(self) -> Tensor | None:
        """Return what pixels in [-1, 1] are multiplied by and what is added then, `[2, C, 1, 1]`.

        None where the model takes them as they are.
        """
        if self.mean == self.std == _HALF:
            return None
        mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (self.mean, self.std))
        return torch.stack([0.5 / std, (0.5 - mean) / std])

    def save(self, folder: str) -> None:
        """Write the settings into a model's folder."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"
        storage.write_text(storage.join(folder, PREPROCESS_FILE), text)

    @classmethod
    def load(cls, folder: Folder) -> "Preprocess":
        """Read the settings that `save` wrote into a model's folder.

        Raises:
            InputError: they are not those of this version, or impossible ones.
        """
        saved = folder.read_json(
            PREPROCESS_FILE,
            _SavedPreprocess,
            hint="the folder was written by another version, or edited; export the model again",
        )
        if saved.crop_px > saved.resize_px:
            raise InputError(
                f"{folder.url_of(PREPROCESS_FILE)}: `crop_px` {saved.crop_px} must not be above "
                f"`resize_px` {saved.resize_px}"
            )
        return cls(**msgspec.structs.asdict(saved))


_Side = Annotated[int, Meta(ge=1, le=4096)]
_Deviation = Annotated[float, Meta(gt=0.0)]


class _SavedPreprocess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`preprocess.json`: what `Preprocess` has."""

    resize_px: _Side
    crop_px: _Side
    max_tokens: Annotated[int, Meta(ge=3)]
    lowercase: bool
    # Exports of older versions lack the rest.
    normalization: Normalization = "none"
    split_symbols: bool = False
    resample: Annotated[int, Meta(ge=0, le=5)] = int(Image.Resampling.BILINEAR)
    mean: Colors = _HALF
    std: tuple[_Deviation, _Deviation, _Deviation] = _HALF


def read_pixels(
    content: bytes, *, resize_px: int, resample: int = Image.Resampling.BILINEAR
) -> Pixels:
    """Return an image file as an upright sRGB square, `[R, R, C]`; transparency becomes white.

    A JPEG is decoded at the smallest scale that still has twice the pixels needed a side.

    Raises:
        InputError: the bytes are not an image.
    """
    try:
        pixels = decoding.decode_array(content, min_side_px=2 * resize_px, scales=JpegScales.HALVES)
    except ImageError as error:
        raise InputError(f"an image cannot be decoded: {error}") from error
    return squashed(pixels, resize_px, Image.Resampling(resample))


def squashed(image_HWC: Pixels, side_px: int, resample: Image.Resampling) -> Pixels:
    """Return an image resized to a square, `[R, R, C]`.

    Torch has the bilinear and the bicubic filter for bytes, in whole numbers: the values are the
    same with and without vector instructions. They are Pillow's, but for one rounding in a
    thousand (bilinear) or four (bicubic), in a sixth of its time. Other filters are Pillow's own.
    """
    if image_HWC.shape[:2] == (side_px, side_px):
        return image_HWC
    if resample not in _TORCH_FILTERS:
        return np.array(Image.fromarray(image_HWC).resize((side_px, side_px), resample))
    # Channels last in memory, down to the strides: else Torch copies, in threads of its own.
    pixels = torch.from_numpy(image_HWC).unsqueeze(0).permute(0, 3, 1, 2)
    square = F.interpolate(
        pixels, (side_px, side_px), mode=_TORCH_FILTERS[resample], antialias=True
    )
    return square.permute(0, 2, 3, 1).numpy()[0]


def center_crop(images_BRRC: Pixels, crop_px: int) -> Pixels:
    """Return the middle `[B, S, S, C]`; of an odd margin the smaller half is above and left."""
    start = (images_BRRC.shape[1] - crop_px) // 2
    return images_BRRC[:, start : start + crop_px, start : start + crop_px]


def to_tensor(images_BSSC: Pixels) -> Tensor:
    """Return `[B, C, S, S]` in [-1, 1], as x / 127.5 - 1, channels last in memory.

    NumPy computes it, on the calling thread: evaluation decodes in threads, and in each of them
    Torch would start a team of threads of its own.
    """
    scaled = images_BSSC.astype(np.float32, order="C")
    scaled /= np.float32(127.5)
    scaled -= np.float32(1.0)
    return torch.from_numpy(scaled).permute(0, 3, 1, 2)


def on_device(images_BSSC: Tensor) -> Tensor:
    """Return what `to_tensor` returns, bit for bit, made where the bytes are."""
    # CUDA would multiply by the rounded reciprocal of a plain number.
    divisor = torch.full((), 127.5, device=images_BSSC.device)
    return images_BSSC.permute(0, 3, 1, 2).to(torch.float32).div_(divisor).sub_(1.0)


def with_colors(pixels: Tensor, scaling: Tensor | None) -> Tensor:
    """Return pixels in [-1, 1] as the model takes them: see `Preprocess.color_scaling`."""
    return pixels if scaling is None else pixels * scaling[0] + scaling[1]


def build_tokenizer(
    vocabulary: Sequence[str], preprocess: Preprocess, *, fixed_length: bool = False
) -> Tokenizer:
    """Return the WordPiece tokenizer of a vocabulary: cuts, marks the ends, truncates, pads.

    It pads to the longest text of a batch or, with `fixed_length`, to the most tokens.
    """
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106  # no secret
    tokenizer.normalizer = normalizer(preprocess.words)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = pre_tokenizer(preprocess.words)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.post_processor = TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.enable_truncation(preprocess.max_tokens)
    length = preprocess.max_tokens if fixed_length else None
    tokenizer.enable_padding(pad_id=0, pad_token=SPECIAL_TOKENS[0], length=length)
    return tokenizer


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the id that stands for a word that no pieces make up; None where there is none."""
    token: str | None = getattr(tokenizer.model, "unk_token", None)
    return None if token is None else tokenizer.token_to_id(token)


def unknown_share(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Return the share of the tokens of texts, without their ends, that stand for unknown words.

    0 where the texts have no tokens, or no token stands for such words.
    """
    unknown = unknown_id(tokenizer)
    found = [
        token == unknown
        for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for token, is_text in zip(encoding.ids, encoding.attention_mask, strict=True)
        if is_text
    ]
    return sum(found) / max(len(found), 1)


def knows_none(tokenizer: Tokenizer, text: str) -> bool:
    """Tell whether the tokenizer has no piece for any word of a text, be it for want of words."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    found = {
        token
        for token, is_text in zip(encoding.ids, encoding.attention_mask, strict=True)
        if is_text
    }
    return found <= {unknown_id(tokenizer)}


def padded_to_most(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer that pads every text to the most tokens that it leaves."""
    assert tokenizer.truncation is not None
    assert tokenizer.padding is not None
    found = Tokenizer.from_str(tokenizer.to_str())
    found.enable_padding(**{**tokenizer.padding, "length": tokenizer.truncation["max_length"]})
    return found


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> TokenBatch:
    """Return the word pieces of texts."""
    encodings = tokenizer.encode_batch_fast(list(texts))
    ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
    mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
    return TokenBatch(torch.from_numpy(ids), torch.from_numpy(mask))
