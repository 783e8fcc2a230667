"""The trained towers as a Hugging Face folder that `AlignModel.from_pretrained` loads.

config.json, model.safetensors           the model
tokenizer.json, tokenizer_config.json    for `AutoTokenizer`
preprocessor_config.json                 for `AutoImageProcessor`; `AutoProcessor` takes all three
preprocess.json                          for `openalign evaluate`
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from openalign.files import storage
from openalign.train.config import ModelConfig
from openalign.train.data.preprocess import Preprocess, build_tokenizer
from openalign.train.data.saved_tokenizer import length_settings
from openalign.train.model.pretrained import Pretrained
from openalign.train.model.towers import WRAPPED, align_config
from openalign.train.saved_files import (
    CONFIG_FILE,
    PROCESSOR_FILES,
    TOKENIZER_FILE,
    TOKENIZER_SETTINGS_FILE,
    WEIGHTS_FILE,
)


def preprocess_of(model: ModelConfig) -> Preprocess:
    """Return what turns files and texts into a model's inputs."""
    return Preprocess(
        resize_px=model.resize_px,
        crop_px=model.crop_px,
        max_tokens=model.max_tokens,
        lowercase=model.lowercase,
        normalization=model.normalization,
        split_symbols=model.split_symbols,
    )


def write_export(
    folder: str,
    *,
    weights: Mapping[str, Tensor],
    vocabulary: Sequence[str],
    model: ModelConfig,
    pretrained: Pretrained | None = None,
) -> None:
    """Write the folder; its bytes are a function of the arguments and the library's version."""
    config = align_config(model, vocabulary_size=len(vocabulary), pretrained=pretrained)
    config.architectures = ["AlignModel"]
    state = _library_state(weights, hidden_size=model.text_tower.shape.hidden_size)
    tensors = save(state, metadata={"format": "pt"})
    storage.write_bytes(storage.join(folder, WEIGHTS_FILE), tensors)
    storage.write_text(storage.join(folder, CONFIG_FILE), config.to_json_string())
    preprocess = preprocess_of(model) if pretrained is None else pretrained.preprocess
    preprocess.save(folder)
    if pretrained is not None and pretrained.words is not None:
        for name, content in pretrained.words.files.items():
            storage.write_bytes(storage.join(folder, name), content)
    else:
        tokenizer = build_tokenizer(vocabulary, preprocess)
        storage.write_text(storage.join(folder, TOKENIZER_FILE), tokenizer.to_str(pretty=True))
        _write_json(folder, TOKENIZER_SETTINGS_FILE, _tokenizer_config(preprocess))
    _write_json(folder, PROCESSOR_FILES[1], _image_processor_config(preprocess))


def _library_state(weights: Mapping[str, Tensor], *, hidden_size: int) -> dict[str, Tensor]:
    state = {name.removeprefix(WRAPPED): tensor for name, tensor in weights.items()}
    state["temperature"] = state["temperature"].reshape(())
    # The library builds a pooler that ALIGN does not use; zeros keep the file reproducible.
    state["text_model.pooler.dense.weight"] = torch.zeros(hidden_size, hidden_size)
    state["text_model.pooler.dense.bias"] = torch.zeros(hidden_size)
    return state


def _tokenizer_config(preprocess: Preprocess) -> dict[str, Any]:
    """Return the settings beside `tokenizer.json`.

    The library builds a BERT's tokenizer anew from its options, which can say neither a Unicode
    form nor that symbols are cut. It takes any other as it is.
    """
    bert = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": preprocess.lowercase,
        "strip_accents": False,
        "tokenize_chinese_chars": True,
    }
    whole = {"tokenizer_class": "PreTrainedTokenizerFast"}
    return {
        **(bert if preprocess.words.is_bert else whole),
        **length_settings(preprocess.max_tokens),
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }


def _image_processor_config(preprocess: Preprocess) -> dict[str, Any]:
    """Return what `kakaobrain/align-base` has, with this model's sizes and colors."""
    default = Preprocess()
    scaled = {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}
    if (preprocess.mean, preprocess.std) != (default.mean, default.std):
        scaled: dict[str, Any] = {
            "rescale_factor": 1 / 255,
            "rescale_offset": False,
            "do_normalize": True,
            "image_mean": list(preprocess.mean),
            "image_std": list(preprocess.std),
        }
    return {
        "image_processor_type": "EfficientNetImageProcessor",
        "do_resize": True,
        "size": {"height": preprocess.resize_px, "width": preprocess.resize_px},
        "resample": preprocess.resample,
        "do_center_crop": True,
        "crop_size": {"height": preprocess.crop_px, "width": preprocess.crop_px},
        "do_rescale": True,
        **scaled,
        "include_top": False,
    }


def _write_json(folder: str, name: str, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=2, sort_keys=True) + "\n"
    storage.write_text(storage.join(folder, name), text)
