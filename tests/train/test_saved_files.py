import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.folder import opened
from openalign.train.saved_files import model_files, weight_files

from saved_align import save_align  # isort: skip


def folder_of(path: Path, *names: str) -> str:
    for name in names:
        (path / name).write_text("{}")
    return str(path)


def names_of(url: str) -> list[str]:
    with opened(url) as folder:
        return model_files(folder)


def refusal(url: str) -> InputError:
    with opened(url) as folder, pytest.raises(InputError) as caught:
        model_files(folder)
    return caught.value


def test_a_model_is_what_reading_it_may_open_and_nothing_that_lies_beside(tmp_path: Path) -> None:
    url = folder_of(
        tmp_path,
        *("config.json", "model.safetensors", "model.fp16.safetensors", "other.safetensors"),
        *("vocab.txt", "tokenizer_config.json", "preprocessor_config.json"),
        *("README.md", "pytorch_model.bin", "optimizer.pt"),
    )

    assert names_of(url) == [
        *("config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"),
        "preprocessor_config.json",
    ]

    folder_of(tmp_path, "tokenizer.json", "preprocess.json")
    assert {"tokenizer.json", "preprocess.json"} <= set(names_of(url))
    assert "vocab.txt" not in names_of(url)


def test_shards_are_those_of_the_index_and_each_must_be_there(tmp_path: Path) -> None:
    url = folder_of(tmp_path, "config.json", "tokenizer.json", "a.safetensors", "stray.safetensors")
    index = {"metadata": {"total_size": 8}, "weight_map": {"x": "b.safetensors"}}
    index["weight_map"] |= {"y": "a.safetensors", "z": "b.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))

    assert str(refusal(url)).endswith("is not a model folder: b.safetensors cannot be found")

    folder_of(tmp_path, "b.safetensors")
    with opened(url) as folder:
        expected = ["model.safetensors.index.json", "a.safetensors", "b.safetensors"]
        assert weight_files(folder) == expected

    folder_of(tmp_path, "model.safetensors")  # it goes before an index, as in the library
    with opened(url) as folder:
        assert weight_files(folder) == ["model.safetensors"]


@pytest.mark.parametrize("shard", ["../a.safetensors", "/etc/a.safetensors", "a.bin"])
def test_an_index_leads_to_no_file_outside_the_folder(shard: str, tmp_path: Path) -> None:
    url = folder_of(tmp_path, "config.json", "tokenizer.json")
    index = {"weight_map": {"x": shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))

    assert f"in the same folder, got {shard!r}" in str(refusal(url))


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    url = folder_of(tmp_path, "README.md")
    message = "is not a model folder: config.json, model.safetensors cannot be found"
    assert message in str(refusal(url))

    folder_of(tmp_path, "config.json", "model.safetensors")
    found = refusal(url)
    assert "has no vocabulary: neither tokenizer.json nor vocab.txt is there" in str(found)
    assert "save the model's tokenizer and image processor beside" in str(found.hint)
    assert "to evaluate, a folder that holds them can be named: --set evaluate.proc" in str(
        found.hint
    )


def test_an_adapter_is_not_read(tmp_path: Path) -> None:
    url = folder_of(tmp_path, "config.json", "model.safetensors", "adapter_config.json")

    assert "adapter_config.json: adapters are not read" in str(refusal(url))


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "last.pt", "pytorch_model.bin.index.json"], ids=str
)
def test_pickled_weights_are_refused_with_the_command_that_converts_them(
    name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "a model's folder"
    model = save_align(folder)
    (folder / "model.safetensors").unlink()
    state = model.state_dict()
    if name.endswith(".json"):
        torch.save(state, folder / "pytorch_model-00001-of-00001.bin")
        shard_of = dict.fromkeys(state, "pytorch_model-00001-of-00001.bin")
        (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": shard_of}))
    else:
        torch.save(state, folder / name)

    error = refusal(str(folder))

    assert f"{name}: pickled weights are not read" in str(error)
    assert error.hint is not None
    prefix = "convert them to model.safetensors, once: "
    assert error.hint.startswith(prefix)
    command = shlex.split(error.hint.removeprefix(prefix))
    assert command[0] == "python"
    assert ("weights_only=True" in error.hint) == ("index" not in name)
    subprocess.run([sys.executable, *command[1:]], check=True, capture_output=True)

    converted = load_file(folder / "model.safetensors")
    assert converted.keys() == state.keys()
    assert all(torch.equal(converted[key], state[key]) for key in state)
    assert "model.safetensors" in names_of(str(folder))


def test_weights_that_lie_elsewhere_are_converted_on_this_machine(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}"
    for name in ("config.json", "tokenizer.json", "pytorch_model.bin"):
        storage.write_bytes(f"{url}/{name}", b"{}")

    hint = refusal(url).hint or ""

    assert hint.startswith("copy the folder to this machine and go there; convert them to ")
    assert "torch.load('\"'\"'./pytorch_model.bin'\"'\"'" in hint
