"""A model folder to unit embeddings: our exports, or any Hugging Face ALIGN.

The only file of `evaluate` that knows how training prepares images and texts: pixels and word
pieces are made by the module that made them there, with the settings that lie beside the weights.
"""

import math
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from openalign.errors import InputError
from openalign.evaluate.vectors import Vectors, unit_rows
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of
from openalign.train.data.preprocess import TOKENIZER_FILE, Preprocess, load_tokenizer, tokenize

_CONFIG = "config.json"


class _Architecture(msgspec.Struct, frozen=True):
    """The part of `config.json` that is looked at before the library reads all of it."""

    model_type: str | None = None


_ARCHITECTURE = msgspec.json.Decoder(_Architecture)
_BROKEN = "the model is broken: its training diverged, or its weights hold NaN or infinity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Both towers of a model, ready to embed."""

    model: Any
    tokenizer: Any
    preprocess: Preprocess
    weights_hash: str
    """Over the weights and the architecture."""

    preprocess_hash: str
    """Over the images' settings and the tokenizer."""

    @classmethod
    def load(cls, folder: str) -> "Encoder":
        """Read a model folder.

        Raises:
            InputError: it is not the folder of an ALIGN model, or lacks a part of it.
        """
        names = storage.list_files(folder)
        weights = _weights(folder, names)
        preprocess = Preprocess.load(folder)
        return cls(
            model=_load_model(folder),
            tokenizer=load_tokenizer(folder, preprocess),
            preprocess=preprocess,
            weights_hash=_hash_of(folder, [_CONFIG, *weights]),
            preprocess_hash=fingerprint_of(
                [asdict(preprocess), _hash_of(folder, [TOKENIZER_FILE])]
            ),
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

    def embed_images(self, contents: Sequence[bytes]) -> Vectors:
        """Return a unit row for each encoded image.

        Raises:
            InputError: one of them is not an image, or its embedding is not finite.
        """
        pixels = self.preprocess.pixels(contents)
        with torch.inference_mode():
            features = _rows(self.model.get_image_features(pixels.to(self.model.device)))
        if not np.isfinite(features).all():
            raise InputError("an image's embedding is not finite", hint=_BROKEN)
        return unit_rows(features)

    def embed_texts(self, texts: Sequence[str], *, projected: bool = True) -> Vectors:
        """Return a unit row for each text.

        It is the text's embedding, or the state of [CLS] before the projection (ALIGN App. B).

        Raises:
            InputError: names the text whose row is not finite.
        """
        ids, mask = (part.to(self.model.device) for part in tokenize(self.tokenizer, texts))
        with torch.inference_mode():
            states = self.model.text_model(input_ids=ids, attention_mask=mask).last_hidden_state
            rows = _rows(self.model.text_projection(states[:, 0]) if projected else states[:, 0])
        broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(broken):
            raise InputError(
                f"the embedding of the text {texts[broken[0]]!r} is not finite", hint=_BROKEN
            )
        return unit_rows(rows)


def _weights(folder: str, names: Sequence[str]) -> list[str]:
    weights = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    weights = weights or [name for name in names if name == "pytorch_model.bin"]
    missing = [name for name in (_CONFIG, TOKENIZER_FILE) if name not in names]
    if not weights:
        missing.append("model.safetensors")
    if missing:
        raise InputError(
            f"{folder} is not a model folder: {', '.join(missing)} cannot be found",
            hint="run `openalign train` first, or name a Hugging Face ALIGN folder",
        )
    return weights


def _load_model(folder: str) -> Any:
    from transformers import AlignConfig, AlignModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # a missing pooler is no concern: no embedding uses it
    with _as_local(folder) as path:
        kind = _model_type(folder, path)
        if kind != AlignConfig.model_type:
            raise InputError(f"{folder}: holds a model of type `{kind}`, `align` is needed")
        model = AlignModel.from_pretrained(path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device).eval()  # pyright: ignore[reportArgumentType]


def _model_type(folder: str, path: Path) -> str | None:
    try:
        return _ARCHITECTURE.decode((path / _CONFIG).read_bytes()).model_type
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{folder}: {_CONFIG} is not that of a model: {error}") from error


@contextmanager
def _as_local(folder: str) -> Generator[Path]:
    """Yield a local copy of the model's own files, or the folder itself."""
    if storage.is_local(folder):
        yield storage.local_path(folder)
        return
    with tempfile.TemporaryDirectory() as name:
        for file in storage.list_names(folder):
            if file.endswith((".json", ".safetensors", ".bin", ".txt")):
                Path(name, file).write_bytes(storage.read_bytes(storage.join(folder, file)))
        yield Path(name)


def _hash_of(folder: str, names: Sequence[str]) -> str:
    return fingerprint_of([[n, storage.sha256_of(storage.join(folder, n))] for n in names])


def _rows(features: Any) -> Vectors:
    rows = getattr(features, "pooler_output", features)
    return np.asarray(rows.float().cpu().numpy(), dtype=np.float32)
