import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import AlignConfig, AlignTextConfig, AlignVisionConfig, AlignVisionModel
from transformers.activations import ACT2FN

from openalign.errors import InputError
from openalign.files.folder import opened
from openalign.train.model.architecture import (
    ACTIVATIONS,
    Architecture,
    TextConfig,
    VisionConfig,
    check_image_size,
    read_architecture,
)

LEFT_OUT = ("image_size", "num_hidden_layers")
"""What the library keeps of an image tower and computes nothing with."""


def read(folder: Path, values: Any) -> Architecture:
    text = values if isinstance(values, str) else json.dumps(values)
    (folder / "config.json").write_text(text)
    with opened(str(folder)) as files:
        return read_architecture(files)


def refusal(folder: Path, values: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, values)
    assert f"{folder}/config.json" in str(caught.value)
    return str(caught.value)


def config(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a small `config.json`; the key `text_config.hidden_size` lies in its `text_config`."""
    values: dict[str, Any] = {"model_type": "align", "text_config": {}, "vision_config": {}}
    for key, value in (changes or {}).items():
        part, _, inside = key.rpartition(".")
        (values[part] if part else values)[inside] = value
    return values


def test_what_is_left_unsaid_is_the_librarys_default(tmp_path: Path) -> None:
    found = read(tmp_path, config())

    assert found == Architecture(text_config=TextConfig(), vision_config=VisionConfig())
    assert found.to_library().to_dict() == AlignConfig().to_dict()


def test_what_the_library_saves_is_read_whole(tmp_path: Path) -> None:
    theirs = AlignConfig(
        text_config=AlignTextConfig(
            vocab_size=99, hidden_size=48, num_hidden_layers=3, num_attention_heads=6
        ),
        vision_config=AlignVisionConfig(
            width_coefficient=0.5, strides=[2, 1, 2, 2, 1, 2, 1], depthwise_padding=[1, 4]
        ),
        projection_dim=160,
    )
    theirs.save_pretrained(tmp_path)

    with opened(str(tmp_path)) as files:
        ours = read_architecture(files).to_library()

    for part in ("text_config", "vision_config"):
        expected = getattr(theirs, part).to_dict()
        found = getattr(ours, part).to_dict()
        kept = expected.keys() - set(LEFT_OUT)
        assert {key: found[key] for key in kept} == {key: expected[key] for key in kept}
    assert ours.projection_dim == 160


def test_keys_that_describe_no_size_are_passed_over(tmp_path: Path) -> None:
    """What versions 4 and 5 of the library write beside, in all three objects."""
    generic = {
        "architectures": ["AlignModel"],
        "torch_dtype": "float16",
        "dtype": "float32",
        "transformers_version": "4.27.0",
        "_name_or_path": "x",
        "return_dict": False,
        "bos_token_id": None,
        "use_cache": True,
        "top_k": 50,
        "id2label": {"0": "LABEL_0"},
        "_attn_implementation_autoset": True,
        "pruned_heads": {},
        "is_decoder": False,
        "position_embedding_type": "absolute",
        "temperature_init_value": 1.0,
    }
    nested = {key: value for key, value in generic.items() if key != "architectures"}
    values = config() | generic
    values["text_config"] = nested | {"model_type": "align_text_model"}
    values["vision_config"] = nested | {"model_type": "align_vision_model", "num_hidden_layers": 64}

    assert read(tmp_path, values) == read(tmp_path, config())


@pytest.mark.parametrize("part", ["", "text_config.", "vision_config."])
@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("quantization_config", {"load_in_8bit": True}, "absent"),
        ("auto_map", {"AutoModel": "evil--code.Model"}, "absent"),
        ("_attn_implementation", "kernels-community/flash-attn", "absent, 'eager', 'sdpa'"),
        ("attn_implementation", "flash_attention_2", "absent, 'eager', 'sdpa'"),
        ("adapters", {"adapters": {}}, "absent"),
        ("position_embedding_type", "relative_key", "absent, 'absolute'"),
        ("is_decoder", True, "absent, False"),
        ("is_decoder", 0, "absent, False"),
        ("pruned_heads", {"0": [1]}, "absent, {}"),
    ],
)
def test_what_would_steer_the_library_is_refused_by_name(
    part: str, key: str, value: Any, allowed: str, tmp_path: Path
) -> None:
    message = refusal(tmp_path, config({part + key: value}))

    assert message.endswith(f"`{part}{key}` must be {allowed}, got {value!r}")


@pytest.mark.parametrize("key", ["_attn_implementation", "text_config._attn_implementation"])
def test_the_kernel_that_is_asked_for_is_taken(key: str, tmp_path: Path) -> None:
    found = read(tmp_path, config({key: "eager"})).to_library()

    assert cast("Any", found.text_config)._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param("{", "is not JSON", id="cut off"),
        pytest.param("[]", "Expected `object`, got `array`", id="a list"),
        pytest.param(
            {"model_type": "clip"}, "a model of type `clip`, `align` is needed", id="clip"
        ),
        pytest.param({}, "a model of type `None`, `align` is needed", id="no type"),
        pytest.param(
            {"model_type": "align", "vision_config": {}},
            "`text_config` must be an object, got None",
            id="no text tower",
        ),
        pytest.param(
            config({"text_config.model_type": "bert"}),
            "`text_config.model_type` must be absent, 'align_text_model', got 'bert'",
            id="another text tower",
        ),
        pytest.param(
            config({"text_config.hidden_size": "12"}),
            "Expected `int`, got `str` - at `$.text_config.hidden_size`",
            id="a number as text",
        ),
        pytest.param(
            config({"text_config.vocab_size": True}),
            "Expected `int`, got `bool` - at `$.text_config.vocab_size`",
            id="a flag as number",
        ),
        pytest.param(
            config({"text_config.num_hidden_layers": 513}),
            "Expected `int` <= 512 - at `$.text_config.num_hidden_layers`",
            id="too deep",
        ),
        pytest.param(
            config({"text_config.vocab_size": 10**12}),
            "Expected `int` <= 10000000 - at `$.text_config.vocab_size`",
            id="too many words",
        ),
        pytest.param(
            config({"text_config.hidden_size": 50, "text_config.num_attention_heads": 4}),
            "`text_config.hidden_size` 50 must be a multiple of `num_attention_heads` 4",
            id="heads",
        ),
        pytest.param(
            config({"text_config.vocab_size": 10, "text_config.pad_token_id": 10}),
            "`text_config.pad_token_id` must be below `vocab_size` 10, got 10",
            id="padding",
        ),
        pytest.param(
            config({"vision_config.num_channels": 1}),
            "`vision_config.num_channels` must be 3, got 1",
            id="gray",
        ),
        pytest.param(
            config({"vision_config.hidden_act": "prelu"}),
            "`vision_config.hidden_act` must be 'gelu', ",
            id="activation",
        ),
        pytest.param(
            config({"vision_config.pooling_type": "sum"}),
            "`vision_config.pooling_type` must be 'mean', 'max', got 'sum'",
            id="pooling",
        ),
        pytest.param(
            config({"vision_config.strides": [1, 2]}),
            "`vision_config.strides` has 2 numbers; each stage of blocks needs one",
            id="stages",
        ),
        pytest.param(
            config({"vision_config.num_block_repeats": []}),
            "`vision_config.num_block_repeats` has 0 numbers",
            id="no stages",
        ),
        pytest.param(
            config(
                {
                    "vision_config.depth_coefficient": 100.0,
                    "vision_config.num_block_repeats": [3] * 7,
                }
            ),
            "`vision_config` describes 2100 blocks, at most 2048 are read",
            id="too many blocks",
        ),
    ],
)
def test_what_describes_no_align_is_refused_by_name(
    values: Any, message: str, tmp_path: Path
) -> None:
    assert message in refusal(tmp_path, values)


def test_activations_are_the_librarys() -> None:
    assert set(ACTIVATIONS) < set(ACT2FN)
    assert all(not list(ACT2FN[name].parameters()) for name in ACTIVATIONS)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"depthwise_padding": (0, 2, 3, 6)},
        {"strides": (1, 2, 1, 2, 2, 2, 1), "depthwise_padding": (3,)},
        {"kernel_sizes": (3, 4, 5, 2, 3, 7, 3), "depthwise_padding": (4,)},
    ],
    ids=str,
)
def test_the_side_of_the_last_map_is_the_towers(changes: dict[str, Any]) -> None:
    shape = VisionConfig(width_coefficient=0.1, depth_coefficient=0.3, **changes)
    architecture = Architecture(text_config=TextConfig(), vision_config=shape)
    vision_config: Any = architecture.to_library().vision_config
    with torch.device("meta"):  # shapes, without arithmetic
        tower = AlignVisionModel(vision_config).eval()

        for side_px in (48, 63, 64, 65, 96, 97, 289):
            images = torch.empty(1, 3, side_px, 80)
            expected = tower(pixel_values=images).last_hidden_state.shape[2:]
            assert (shape.map_px(side_px), shape.map_px(80)) == tuple(expected), side_px


def test_an_image_must_become_one_vector() -> None:
    """Five halvings: 95 pixels become 2, 96 become 3, which a window of 2 does not cover."""
    shape = VisionConfig(width_coefficient=0.1, depth_coefficient=0.3, hidden_dim=2)
    architecture = Architecture(text_config=TextConfig(), vision_config=shape)

    check_image_size(architecture, height_px=95, width_px=32)
    with pytest.raises(
        ValueError, match=r"takes no 32 x 96 images: .*`vision_config.hidden_dim` 2.* has 1 x 3"
    ):
        check_image_size(architecture, height_px=96, width_px=32)
    with pytest.raises(ValueError, match="takes no 31 x 64 images"):
        check_image_size(architecture, height_px=64, width_px=31)
