"""A model folder to unit embeddings: our exports, or any Hugging Face ALIGN.

The only file of `evaluate` that knows how training prepares images and texts: pixels and word
pieces are made by the module that made them there, with the settings that lie beside the weights.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openalign.errors import InputError
from openalign.evaluate.embedding.decodings import Decoding
from openalign.evaluate.metrics.vectors import Vectors, unit_rows
from openalign.files.fingerprints import fingerprint_of
from openalign.files.folder import Folder, opened
from openalign.host_memory import keep_freed_memory
from openalign.images.decoding import Policy
from openalign.train.data.image_processor import ImageProcessor
from openalign.train.data.preprocess import Preprocess, tokenize
from openalign.train.data.saved_image_processor import read_image_processor
from openalign.train.data.saved_tokenizer import Bounds, load_tokenizer
from openalign.train.model.architecture import (
    Architecture,
    check_image_size,
    read_architecture,
)
from openalign.train.model.weights import load_align
from openalign.train.saved_files import (
    CONFIG_FILE,
    PREPROCESS_FILE,
    PROCESSOR_FILES,
    processor_files,
    weight_files,
)

_BROKEN = "the model is broken: its training diverged, or its weights hold NaN or infinity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Both towers of a model, ready to embed."""

    model: Any
    tokenizer: Any
    preprocess: Preprocess | ImageProcessor
    decoding: Policy
    """How images are decoded."""

    files: Mapping[str, str]
    """The sha256 of each file that was read, by its name in its folder."""

    notes: Sequence[str]
    """What had to be assumed of the model, in sentences."""

    weights_hash: str
    """Over the files of the weights and the architecture: those that were loaded, and no others."""

    preprocess_hash: str
    """Over how images are decoded and prepared, and over the tokenizer."""

    @classmethod
    def load(cls, folder: str, *, processor: str = "", decoding: Decoding = "auto") -> "Encoder":
        """Read a model folder, on a path or an fsspec URL such as hf://OWNER/NAME.

        The tokenizer and the image processor are those of `processor`, a folder too, or else of the
        model's own. Where neither says what images go through, it is what the paper's do.

        Raises:
            InputError: it is not the folder of an ALIGN model, lacks a part of it, or asks for
                something that is not done; names the file and what is allowed.
        """
        with ExitStack() as held:
            files = held.enter_context(opened(folder))
            beside = held.enter_context(opened(processor)) if processor else files
            weights = [CONFIG_FILE, *weight_files(files)]
            architecture = read_architecture(files)
            processor_files(beside)
            preprocess, policy, notes = _read_preprocess(beside, decoding, architecture)
            _check_image_size(files, architecture, preprocess)
            text = architecture.text_config
            max_tokens = text.max_position_embeddings
            if isinstance(preprocess, Preprocess):
                max_tokens = min(max_tokens, preprocess.max_tokens)
            bounds = Bounds(vocabulary_size=text.vocab_size, max_tokens=max_tokens)
            tokenizer = load_tokenizer(beside, bounds)
            model: Any = load_align(files)
            device = "cuda" if torch.cuda.is_available() else "cpu"
            if device == "cpu":
                keep_freed_memory()
            return cls(
                model=model.to(device),
                tokenizer=tokenizer,
                preprocess=preprocess,
                decoding=policy,
                files={**beside.sha256, **files.sha256},
                notes=notes,
                weights_hash=fingerprint_of([[name, files.sha256[name]] for name in weights]),
                preprocess_hash=fingerprint_of([preprocess, policy, tokenizer.to_str()]),
            )

    @property
    def identity(self) -> str:
        """What an embedding depends on beside the image or text."""
        return fingerprint_of([self.weights_hash, self.preprocess_hash])

    @property
    def temperature(self) -> float | None:
        """The learned scalar that divides cosines (Eq. 1); None where it is no positive number."""
        value = float(self.model.temperature.item())
        return value if math.isfinite(value) and value > 0 else None

    def pixels(self, contents: Sequence[bytes]) -> Tensor:
        """Return encoded images as the image tower takes them, on the CPU. Threads may share it.

        Raises:
            InputError: one of them is not an image.
        """
        return self.preprocess.pixels(contents)

    def embed_pixels(self, pixels: Tensor) -> Vectors:
        """Return a unit row for each image that `pixels` returned.

        Raises:
            InputError: an embedding is not finite.
        """
        with _exactly():
            features = _rows(self.model.get_image_features(pixels.to(self.model.device)))
        if not np.isfinite(features).all():
            raise InputError("an image's embedding is not finite", hint=_BROKEN)
        return unit_rows(features)

    def embed_images(self, contents: Sequence[bytes]) -> Vectors:
        """Return a unit row for each encoded image.

        Raises:
            InputError: one of them is not an image, or its embedding is not finite.
        """
        return self.embed_pixels(self.pixels(contents))

    def embed_texts(self, texts: Sequence[str], *, projected: bool = True) -> Vectors:
        """Return a unit row for each text.

        It is the text's embedding, or the state of [CLS] before the projection (ALIGN App. B).

        Raises:
            InputError: names the text whose row is not finite.
        """
        ids, mask = (part.to(self.model.device) for part in tokenize(self.tokenizer, texts))
        with _exactly():
            states = self.model.text_model(input_ids=ids, attention_mask=mask).last_hidden_state
            rows = _rows(self.model.text_projection(states[:, 0]) if projected else states[:, 0])
        broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(broken):
            raise InputError(
                f"the embedding of the text {texts[broken[0]]!r} is not finite", hint=_BROKEN
            )
        return unit_rows(rows)


@contextmanager
def _exactly() -> Generator[None]:
    """Compute without gradients, in fp32 on GPUs too, and the same bits every time.

    By default cuDNN rounds the inputs of convolutions to TF32, which has 10 bits of fp32's 23, and
    may take algorithms that add in any order.
    """
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        yield


def _read_preprocess(
    files: Folder, decoding: Decoding, architecture: Architecture
) -> tuple[Preprocess | ImageProcessor, Policy, list[str]]:
    """Return what images go through, and what is assumed of it.

    Our exports say it as training does, unless told otherwise.
    """
    if decoding != "processor" and PREPROCESS_FILE in files.names:
        return Preprocess.load(files), Policy.OURS, []
    policy = Policy.OURS if decoding == "ours" else Policy.PROCESSOR
    saved = read_image_processor(files, policy)
    if saved is not None:
        return saved, policy, []
    assumed = ImageProcessor.of_paper(architecture.vision_config.image_size, policy)
    sides = " x ".join(map(str, assumed.output_px))
    note = (
        f"{files.url} says nothing about its images (no {' or '.join(PROCESSOR_FILES)}): they are "
        f"prepared as the paper's, {sides} pixels with colors from -1 to 1"
    )
    return assumed, policy, [note]


def _check_image_size(
    files: Folder, architecture: Architecture, preprocess: Preprocess | ImageProcessor
) -> None:
    height_px, width_px = preprocess.output_px
    try:
        check_image_size(architecture, height_px=height_px, width_px=width_px)
    except ValueError as error:
        raise InputError(f"{files.url}: {error}") from error


def _rows(features: Any) -> Vectors:
    rows = getattr(features, "pooler_output", features)
    return np.asarray(rows.float().cpu().numpy(), dtype=np.float32)
