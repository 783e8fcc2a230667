import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AlignModel, AutoTokenizer

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.embeddings import EmbeddingStore, embed_images
from openalign.evaluate.encoder import Encoder


def test_embeddings_are_those_of_the_librarys_own_forward(
    model_folder: str, paint: Callable[[str], bytes]
) -> None:
    texts = ["a red square", "green"]
    encoder = Encoder.load(model_folder)
    model = AlignModel.from_pretrained(model_folder).eval()
    tokens = AutoTokenizer.from_pretrained(model_folder)(texts, padding=True, return_tensors="pt")
    pixels = encoder.preprocess.pixels([paint("red"), paint("green")])

    with torch.inference_mode():
        direct = model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=pixels,
        )

    images = encoder.embed_images([paint("red"), paint("green")])
    np.testing.assert_allclose(images, direct.image_embeds.numpy(), atol=1e-6)
    np.testing.assert_allclose(encoder.embed_texts(texts), direct.text_embeds.numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1.0, atol=1e-6)
    assert images.dtype == np.float32


def test_a_folder_of_hugging_faces_layout_is_read_too(
    model_folder: str, tmp_path: Path, paint: Callable[[str], bytes]
) -> None:
    theirs = tmp_path / "align-base"
    shutil.copytree(model_folder, theirs)
    (theirs / "preprocess.json").unlink()

    encoder = Encoder.load(str(theirs))

    assert (encoder.preprocess.resize_px, encoder.preprocess.crop_px) == (36, 32)
    np.testing.assert_array_equal(
        encoder.embed_images([paint("red")]),
        Encoder.load(model_folder).embed_images([paint("red")]),
    )


def test_hashes_change_with_what_they_stand_for(model_folder: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    settings = json.loads((other / "preprocess.json").read_text())
    (other / "preprocess.json").write_text(json.dumps(settings | {"resize_px": 40}))

    before, after = Encoder.load(model_folder), Encoder.load(str(other))

    assert before.weights_hash == after.weights_hash
    assert before.preprocess_hash != after.preprocess_hash
    assert before.identity != after.identity


def test_other_weights_have_another_hash(model_folder: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-4] ^= 1  # the last bit of the last weight
    (other / "model.safetensors").write_bytes(weights)

    assert Encoder.load(str(other)).weights_hash != Encoder.load(model_folder).weights_hash


def test_an_embedding_that_is_not_finite_is_refused_by_name(
    model_folder: str, tmp_path: Path, paint: Callable[[str], bytes]
) -> None:
    encoder = Encoder.load(model_folder)
    with torch.no_grad():
        for weights in encoder.model.parameters():
            weights.fill_(float("nan"))
    (tmp_path / "red.png").write_bytes(paint("red"))

    with pytest.raises(InputError, match="the text 'a red square' is not finite"):
        encoder.embed_texts(["a red square", "green"])
    with pytest.raises(InputError, match=r"red\.png: an image's embedding is not finite") as caught:
        embed_images(
            encoder,
            [BenchmarkImage(name="red.png", split="", place=ImageFile(str(tmp_path), "red.png"))],
            store=EmbeddingStore(str(tmp_path / "work")),
            file="rows.npy",
            batch_size=1,
        )
    assert caught.value.hint is not None
    assert "its training diverged" in caught.value.hint


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_what_a_folder_lacks_is_named(name: str, model_folder: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model_folder, broken)
    (broken / name).unlink()

    with pytest.raises(InputError, match=f"is not a model folder: {name} cannot be found"):
        Encoder.load(str(broken))


def test_another_kind_of_model_is_refused(model_folder: str, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    shutil.copytree(model_folder, clip)
    (clip / "config.json").write_text('{"model_type": "clip"}')

    with pytest.raises(InputError, match="holds a model of type `clip`, `align` is needed"):
        Encoder.load(str(clip))


def test_the_temperature_is_the_models_own(model_folder: str) -> None:
    encoder = Encoder.load(model_folder)

    assert encoder.temperature == float(encoder.model.temperature.item())
    for broken in (0.0, -1.0, float("nan"), float("inf")):
        with torch.no_grad():
            encoder.model.temperature.fill_(broken)
        assert encoder.temperature is None
