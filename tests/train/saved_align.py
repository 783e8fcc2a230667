"""A random ALIGN and its processor, saved by Hugging Face's library itself."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AlignConfig,
    AlignModel,
    AlignTextConfig,
    AlignVisionConfig,
    BertTokenizer,
    EfficientNetImageProcessorPil,
)

from openalign.files.folder import opened
from openalign.images.decoding import Policy
from openalign.train.data.image_processor import ImageProcessor
from openalign.train.data.saved_image_processor import read_image_processor

WORDS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "green", "square", "café", "cafe"),
    *("e\u0301", "!", ",", ".", "'", "#", "日", "本", "猫", "🍎", "ß", "it", "##s", "##ed"),
    *"bcdfghijk",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyzé"),
)

ALIGN_BASE: dict[str, Any] = {
    "do_resize": True,
    "size": {"height": 40, "width": 40},
    "resample": 2,
    "do_center_crop": True,
    "crop_size": {"height": 32, "width": 32},
    "do_rescale": True,
    "rescale_factor": 1 / 127.5,
    "rescale_offset": True,
    "do_normalize": False,
    "include_top": False,
}
"""The options of `kakaobrain/align-base`, with smaller sizes."""


def save_align(folder: Path, *, shard_bytes: str = "5GB") -> AlignModel:
    """Save a model with its tokenizer and image processor, and return it."""
    config = AlignConfig(
        text_config=AlignTextConfig(
            vocab_size=len(WORDS),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        ),
        vision_config=AlignVisionConfig(
            image_size=32, width_coefficient=0.25, depth_coefficient=0.3, hidden_dim=80
        ),
        projection_dim=80,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AlignModel(config)
        _make_embeddings_differ(model)
    model.eval().save_pretrained(folder, max_shard_size=shard_bytes)
    words = {word: number for number, word in enumerate(WORDS)}
    BertTokenizer(vocab=words, model_max_length=64).save_pretrained(folder)
    save_processor(folder, ALIGN_BASE)
    return model


def save_processor(folder: Path, options: dict[str, Any]) -> EfficientNetImageProcessorPil:
    """Save an image processor as newer versions of the library do, and return it."""
    processor = EfficientNetImageProcessorPil(**options)
    values = {"image_processor": processor.to_dict(), "processor_class": "AlignProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(values))
    return processor


def read_processor(folder: Path, policy: Policy = Policy.PROCESSOR) -> ImageProcessor:
    """Return a folder's image processor as it is read here."""
    with opened(str(folder)) as files:
        found = read_image_processor(files, policy)
    assert found is not None
    return found


def edit_json(path: Path, *keys: str, **values: Any) -> None:
    """Change values of a JSON file, of the object that lies under `keys`."""
    whole = json.loads(path.read_text())
    part = whole
    for key in keys:
        part = part[key]
    part.update(values)
    path.write_text(json.dumps(whole))


@torch.no_grad()
def _make_embeddings_differ(model: AlignModel) -> None:
    """Draw convolutions as EfficientNet does, and let batch norms see noise once."""
    for layer in model.vision_model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            rows, columns = layer.kernel_size
            fan_out = rows * columns * layer.out_channels // layer.groups
            layer.weight.normal_(std=math.sqrt(2.0 / fan_out))
        elif isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    model.train()
    model.vision_model(pixel_values=torch.rand(32, 3, 32, 32) * 2 - 1)
    for name, values in model.text_model.named_parameters():
        if "weight" in name and "LayerNorm" not in name:
            values.normal_(std=0.3)
