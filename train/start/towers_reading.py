"""Single towers that a run begins from: an EfficientNet of timm or torchvision, and a BERT."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, cast

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AlignVisionConfig, AlignVisionModel

from openalign.errors import InputError
from openalign.files.folder import Folder, opened
from openalign.train.config import ModelConfig
from openalign.train.data.preprocess import Colors, Preprocess
from openalign.train.data.saved_tokenizer import Bounds
from openalign.train.model.architecture import TextConfig, VisionConfig, read_bert
from openalign.train.model.export import preprocess_of
from openalign.train.model.pretrained import Pretrained, Words
from openalign.train.model.weights import check_bert, load_bert
from openalign.train.presets import TextShape
from openalign.train.start import efficientnet
from openalign.train.start.agreement import KnownModel, agreed
from openalign.train.start.beginning import ReadOrigin
from openalign.train.start.model_reading import (
    cut_at,
    read_words,
    tokens_at_most,
    with_words,
    word_rules,
)
from openalign.train.start.origin import IMAGE, TEXT, bert_files, hash_of_read
from openalign.train.starting_points import FromTowers, ImageWeights

_PICKLED = (".pt", ".pth")
_SAFE = ".safetensors"


def read(start: FromTowers, model: ModelConfig, *, with_weights: bool) -> ReadOrigin:
    """Return the towers that are named and the settings that agree with them.

    Raises:
        InputError: a tower is not what it must be.
        ConfigError: a setting contradicts it.
    """
    text: TextConfig | None = None
    words: Words | None = None
    vision: VisionConfig | None = None
    weights: dict[str, Tensor] = {}
    hashes: dict[str, str] = {}
    taken: list[str] = []
    if start.image is not None:
        found = KnownModel(image=efficientnet.shape_of(start.image.architecture))
        model, lines = agreed(model, found, origin=f"`{start.image.architecture}`")
        taken += lines
        vision, read_weights, hashes[IMAGE] = _read_image(start.image, model.crop_px)
        weights |= {f"vision_model.{name}": tensor for name, tensor in read_weights.items()}
    if start.text:
        with opened(start.text) as files:
            text = read_bert(files)
            words = read_words(files, _bounds(text))
            model, lines = agreed(model, _found_text(text, words), origin=start.text)
            words = cut_at(words, model.max_tokens)
            taken += lines
            if with_weights:
                read_weights = load_bert(files, text)
                weights |= {f"text_model.{name}": t for name, t in read_weights.items()}
                hashes |= _hashes(files)
            else:
                check_bert(files, text)
    return ReadOrigin(
        model=model,
        pretrained=Pretrained(
            vision=vision,
            text=text,
            words=words,
            preprocess=_preprocess(start.image, model, words),
            weights=weights if with_weights else {},
        ),
        taken=taken,
        content=hash_of_read(hashes) if with_weights else "",
    )


def _bounds(text: TextConfig) -> Bounds:
    return Bounds(vocabulary_size=text.vocab_size, max_tokens=text.max_position_embeddings)


def _found_text(text: TextConfig, words: Words) -> KnownModel:
    return KnownModel.of(
        word_rules(words.tokenizer),
        text=TextShape(text.num_hidden_layers, text.hidden_size, text.num_attention_heads),
        max_tokens=tokens_at_most(words.tokenizer),
        num_positions=text.max_position_embeddings,
        vocabulary_size=text.vocab_size,
    )


def _preprocess(image: ImageWeights | None, model: ModelConfig, words: Words | None) -> Preprocess:
    preprocess = preprocess_of(model)
    if words is not None:
        preprocess = with_words(preprocess, words.tokenizer)
    if image is not None:
        mean, std = cast("tuple[Colors, Colors]", (image.mean, image.std))
        preprocess = replace(preprocess, mean=mean, std=std)
    return preprocess


def _hashes(folder: Folder) -> dict[str, str]:
    names = bert_files(folder)
    for name in names:
        folder.path(name)
    return {f"{TEXT}/{name}": folder.sha256[name] for name in names}


def _read_image(image: ImageWeights, crop_px: int) -> tuple[VisionConfig, dict[str, Tensor], str]:
    """Return an EfficientNet's description, its weights by our names, and the file's hash.

    Raises:
        InputError: the file is not that of the EfficientNet that is named.
    """
    path = PurePosixPath(image.path)
    if path.suffix not in (_SAFE, *_PICKLED):
        raise InputError(f"{image.path}: weights end in {_SAFE}, {' or '.join(_PICKLED)}")
    with opened(image.path.removesuffix(path.name) or ".") as folder:
        saved = _state_dict(folder, path.name)
        sha256 = folder.sha256[path.name]
    naming = efficientnet.naming_of(saved)
    if naming is efficientnet.TORCHVISION and image.architecture.startswith(efficientnet.TF):
        raise InputError(
            f"{image.path} holds an EfficientNet of torchvision, which has no {image.architecture}",
            hint=f"write architecture: {image.architecture.removeprefix(efficientnet.TF)}",
        )
    vision = efficientnet.vision_config(image.architecture, naming, crop_px=crop_px)
    with torch.device("meta"):
        wanted = AlignVisionModel(AlignVisionConfig(**msgspec.structs.asdict(vision))).state_dict()
    theirs = naming.in_file(vision)
    found: dict[str, Tensor] = {}
    used: set[str] = set()
    for name, tensor in wanted.items():
        layer, _, part = name.rpartition(".")
        own = f"{theirs[layer]}.{part}"
        if part == "num_batches_tracked":
            continue
        if own not in saved or saved[own].shape != tensor.shape:
            there = f"has the shape {list(saved[own].shape)}" if own in saved else "is not there"
            raise InputError(
                f"{image.path} is not the {image.architecture} that `architecture` names: the "
                f"tensor {own} {there}, {list(tensor.shape)} is needed"
            )
        if not torch.isfinite(saved[own]).all():
            raise InputError(f"{image.path}: the tensor {own} holds NaN or infinity")
        found[name] = saved[own].float()
        used.add(own)
    naming.check_rest(image.path, saved, used)
    return vision, found, sha256


def _state_dict(folder: Folder, name: str) -> Mapping[str, Tensor]:
    path = folder.path(name)
    try:
        if name.endswith(_SAFE):
            return load_file(path)
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise InputError(f"{folder.url_of(name)} is no file of weights: {error}") from error
    except Exception as error:  # pickle's own errors; nothing but tensors is unpickled
        first = str(error).partition("\n")[0]
        raise InputError(f"{folder.url_of(name)} holds more than tensors: {first}") from error
    if not isinstance(loaded, dict) or not all(isinstance(t, Tensor) for t in loaded.values()):
        raise InputError(f"{folder.url_of(name)} must hold tensors by name, a state dict")
    return cast("dict[str, Tensor]", loaded)
