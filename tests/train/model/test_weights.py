import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AlignModel

from openalign.errors import InputError
from openalign.files.folder import opened
from openalign.train.model.weights import load_align

from align_folders import in_store, load, refusal, refused_unread  # isort: skip
from saved_align import WORDS, edit_json, save_align  # isort: skip

POOLER = ("text_model.pooler.dense.weight", "text_model.pooler.dense.bias")
NUM_TENSORS = 202
COUNTERS = 24
"""Batch norms of the image tower, each of which counts its batches."""

NEEDED = NUM_TENSORS - len(POOLER) - COUNTERS


def change(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    """Write the weights again, as `edit` leaves them."""
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def inputs() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    mask = torch.ones(3, 20, dtype=torch.long)
    mask[1, 7:] = 0
    return {
        "input_ids": torch.randint(0, len(WORDS), (3, 20), generator=draw),
        "attention_mask": mask,
        "pixel_values": torch.rand(3, 3, 32, 32, generator=draw) * 2 - 1,
    }


def assert_same_embeddings(ours: AlignModel, theirs: AlignModel) -> None:
    with torch.inference_mode():
        found, expected = ours(**inputs()), theirs.eval()(**inputs())
    torch.testing.assert_close(found.image_embeds, expected.image_embeds, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.text_embeds, expected.text_embeds, rtol=0, atol=1e-6)


def test_a_model_is_the_librarys(saved: Path) -> None:
    ours, theirs = load(saved), AlignModel.from_pretrained(saved)

    expected = {n: t for n, t in theirs.state_dict().items() if n not in POOLER}
    found = ours.state_dict()
    assert len(expected) == NUM_TENSORS - len(POOLER)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not ours.training
    assert all(not tensor.is_meta for tensor in [*ours.parameters(), *ours.buffers()])
    assert_same_embeddings(ours, theirs)


def test_shards_are_one_model(saved: Path, tmp_path: Path) -> None:
    save_align(tmp_path / "shards", shard_bytes="200KB")
    stray = tmp_path / "shards" / "model-00009-of-00009.safetensors"
    save_file({"text_projection.weight": torch.zeros(80, 32)}, stray)

    with opened(str(tmp_path / "shards")) as files:
        ours = load_align(files)
        read = set(files.sha256)

    assert len(read) > 4
    assert "model.safetensors" not in read
    assert stray.name not in read
    found, expected = ours.state_dict(), load(saved).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_shard_must_hold_what_the_index_says(tmp_path: Path) -> None:
    save_align(tmp_path, shard_bytes="200KB")
    index_path = tmp_path / "model.safetensors.index.json"
    index = json.loads(index_path.read_text())
    shard = index["weight_map"].pop("temperature")
    index["weight_map"]["temperament"] = shard
    index_path.write_text(json.dumps(index))

    assert refused_unread(str(tmp_path)) == refusal(tmp_path)
    assert refusal(tmp_path) == (
        f"{tmp_path}/{shard} does not hold what model.safetensors.index.json says: "
        "1 missing (temperament); 1 unlisted (temperature)"
    )


def test_weights_stay_when_their_file_is_gone(folder: Path) -> None:
    model = load(folder)
    before = model.text_projection.weight.clone()

    with (folder / "model.safetensors").open("r+b") as file:
        file.write(b"\0" * 100_000)
        file.truncate(100)

    assert torch.equal(model.text_projection.weight, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_read_as_the_same_numbers_in_fp32(
    dtype: torch.dtype, folder: Path
) -> None:
    def halve(tensors: dict[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor

    change(folder, halve)

    found = load(folder).state_dict()

    saved = load_file(folder / "model.safetensors")
    assert found["text_projection.weight"].dtype == torch.float32
    assert all(torch.equal(t, saved[n].to(t.dtype)) for n, t in found.items())
    assert_same_embeddings(load(folder), AlignModel.from_pretrained(folder, dtype=torch.float32))


def older(tensors: dict[str, Tensor]) -> None:
    """Leave the weights as older versions of the library, or a trainer without a pooler, save."""
    for name in POOLER:
        del tensors[name]
    for name in [name for name in tensors if name.endswith("num_batches_tracked")]:
        del tensors[name]
    tensors["temperature"] = tensors["temperature"].reshape(1)
    tensors["text_model.embeddings.position_ids"] = torch.arange(64).expand(1, -1).contiguous()
    tensors["text_model.embeddings.token_type_ids"] = torch.zeros(1, 64, dtype=torch.long)


def test_differences_that_change_nothing_are_let_through(saved: Path, folder: Path) -> None:
    change(folder, older)

    found, expected = load(folder), load(saved)

    assert found.temperature.shape == ()
    for name, tensor in expected.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(found.state_dict()[name], tensor), name
    assert_same_embeddings(found, expected)


def keep_three(tensors: dict[str, Tensor]) -> None:
    for name in sorted(tensors)[3:]:
        del tensors[name]


def with_prefix(tensors: dict[str, Tensor]) -> None:
    for name in list(tensors):
        tensors[f"module.{name}"] = tensors.pop(name)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        pytest.param(
            keep_three,
            f"does not hold the {NEEDED} tensors of the model that config.json describes: "
            f"{NEEDED - 3} missing (text_model.embeddings.position_embeddings.weight, ",
            id="3 tensors of all",
        ),
        pytest.param(
            with_prefix,
            f"the names of all {NUM_TENSORS} tensors begin with `module.`, such as "
            "`module.text_projection.weight`",
            id="a prefix",
        ),
        pytest.param(
            lambda t: t.update(extra=torch.zeros(2), other=torch.zeros(1)),
            "2 unexpected (extra, other)",
            id="more",
        ),
        pytest.param(
            lambda t: t.update({"text_projection.weight": torch.zeros(32, 80)}),
            "1 of another shape (text_projection.weight [32, 80], not [80, 32])",
            id="a shape",
        ),
        pytest.param(
            lambda t: t.update({"temperature": torch.zeros(2)}),
            "1 of another shape (temperature [2], not [])",
            id="two temperatures",
        ),
        pytest.param(
            lambda t: t.update({"text_projection.bias": torch.zeros(80, dtype=torch.int8)}),
            "1 of another type (text_projection.bias I8, not F32 or F16 or BF16)",
            id="quantized",
        ),
        pytest.param(
            lambda t: t["text_projection.bias"].fill_(float("nan")),
            "model.safetensors: the tensor text_projection.bias holds NaN or infinity",
            id="nan",
        ),
        pytest.param(
            lambda t: t["vision_model.embeddings.batchnorm.running_var"][:1].fill_(float("inf")),
            "the tensor vision_model.embeddings.batchnorm.running_var holds NaN or infinity",
            id="infinity",
        ),
    ],
)
def test_weights_of_another_model_are_refused_with_what_is_wrong(
    edit: Callable[[dict[str, Tensor]], object], message: str, folder: Path
) -> None:
    change(folder, edit)

    found = refusal(folder)

    assert found.startswith(f"{folder}/model.safetensors")
    assert message in found
    if "NaN" not in message:
        url = in_store(folder)
        assert refused_unread(str(folder)) == found
        assert refused_unread(url) == found.replace(str(folder), url)


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        (
            "text_config",
            {"num_hidden_layers": 2},
            "16 missing (text_model.encoder.layer.1.attention.output.LayerNorm.bias, ",
        ),
        ("vision_config", {"depth_coefficient": 4.0}, "missing (vision_model.encoder.blocks."),
        ("vision_config", {"depth_coefficient": 100.0}, "describes 1601 layers and blocks, each"),
        ("text_config", {"num_hidden_layers": 512}, "describes 520 layers and blocks, each of"),
        ("text_config", {"vocab_size": 10_000_000}, "not [10000000, 32])"),
        ("text_config", {"max_position_embeddings": 1 << 20}, "not [1048576, 32])"),
    ],
)
def test_sizes_that_the_weights_do_not_have_take_no_memory(
    part: str, values: dict[str, Any], message: str, folder: Path
) -> None:
    edit_json(folder / "config.json", part, **values)

    assert message in refusal(folder)
    assert message in refused_unread(str(folder))


def test_both_towers_must_end_in_one_width(folder: Path) -> None:
    edit_json(folder / "config.json", projection_dim=64)

    message = "`projection_dim` 64 must be the width of the image tower's last block, 80"
    assert message in refusal(folder)
    assert message in refused_unread(str(folder))


@pytest.mark.parametrize("content", [b"", b"0" * 100, b"\xff" * 8 + b"{}"], ids=repr)
def test_a_file_that_holds_no_weights_is_named(content: bytes, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(content)

    assert "model.safetensors is no file of weights: " in refusal(folder)
    assert "model.safetensors is no file of weights: " in refused_unread(str(folder))
    assert "model.safetensors is no file of weights: " in refused_unread(in_store(folder))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_pointer_of_git_lfs_is_called_one(name: str, folder: Path) -> None:
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")

    with pytest.raises(InputError, match=f"{name} is a Git LFS pointer") as refused:
        load(folder)

    assert "run `git lfs install` and `git lfs pull`" in str(refused.value.hint)
    assert f"{name} is a Git LFS pointer" in refused_unread(in_store(folder))


def test_weights_in_double_precision_are_told_how_to_become_single(folder: Path) -> None:
    change(folder, lambda t: t.update({name: each.double() for name, each in t.items()}))

    with pytest.raises(InputError, match="of another type") as refused:
        load(folder)

    assert refused.value.hint == (
        "save the model again in fp32, as `model.float().save_pretrained(FOLDER)` does"
    )


def test_a_file_that_is_cut_off_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])

    assert "model.safetensors is no file of weights: " in refusal(folder)
    assert refused_unread(str(folder)) == refusal(folder)
