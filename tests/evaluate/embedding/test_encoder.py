import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import loopback_hub
import numpy as np
import pytest
import torch
from embedding_works import image_at, work_of
from image_encoders import encode, exif, swapped_profile
from PIL import Image
from saved_align import ALIGN_BASE, WORDS, edit_json, save_align, save_processor
from transformers import AlignModel, AutoProcessor, AutoTokenizer
from transformers.image_utils import load_image

from openalign.errors import InputError
from openalign.evaluate.embedding.decodings import Decoding
from openalign.evaluate.embedding.encoder import Encoder
from openalign.files import storage
from openalign.images.decoding import Policy


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


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model that the library made and saved."""
    folder = tmp_path_factory.mktemp("theirs")
    save_align(folder)
    return folder


def odd_files() -> list[bytes]:
    rough = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    image = Image.fromarray(rough).resize((517, 403), Image.Resampling.BICUBIC)
    ghost = image.copy()
    ghost.putalpha(100)
    return [
        encode(image),
        encode(image, exif=exif(6), icc_profile=swapped_profile()),
        encode(image.convert("CMYK")),
        encode(ghost, "PNG"),
        encode(image.resize((1, 90)), "PNG"),
    ]


def test_a_model_of_the_library_gives_the_librarys_embeddings(theirs: Path) -> None:
    """Pixels by its own processor after `load_image`, ids by its own tokenizer, in fp32."""
    texts = ["a red square", "Café 日本!", "red " * 80, ""]
    files = odd_files()
    encoder = Encoder.load(str(theirs))
    processor, tokenizer = (
        AutoProcessor.from_pretrained(theirs, backend="pil"),
        AutoTokenizer.from_pretrained(theirs),
    )
    images = [load_image(Image.open(io.BytesIO(content))) for content in files]

    with torch.inference_mode():
        direct = AlignModel.from_pretrained(theirs).eval()(
            pixel_values=processor.image_processor(images, return_tensors="pt")["pixel_values"],
            **tokenizer(texts, padding=True, truncation=True, return_tensors="pt"),
        )

    found = encoder.embed_images(files)
    np.testing.assert_allclose(found, direct.image_embeds.numpy(), rtol=0, atol=1e-5)
    words = encoder.embed_texts(texts)
    np.testing.assert_allclose(words, direct.text_embeds.numpy(), rtol=0, atol=1e-5)
    assert (found @ found.T).min() < 0.9  # images that look alike would prove nothing


def test_towers_compute_in_fp32_and_the_same_bits_every_time(model_folder: str) -> None:
    """A GPU's convolutions are in TF32 unless they are told; the caller's choice stays."""
    encoder = Encoder.load(model_folder)
    cudnn = torch.backends.cudnn
    seen: list[tuple[bool, bool]] = []
    for tower in (encoder.model.vision_model, encoder.model.text_model):
        tower.register_forward_hook(lambda *_: seen.append((cudnn.allow_tf32, cudnn.deterministic)))

    with cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=True):
        encoder.embed_pixels(torch.zeros(1, 3, *encoder.preprocess.output_px))
        encoder.embed_texts(["red"])

        assert seen == [(False, True)] * 2
        assert (cudnn.allow_tf32, cudnn.deterministic) == (True, False)


def test_our_exports_are_decoded_as_in_training_and_others_as_their_processor_does(
    model_folder: str, theirs: Path
) -> None:
    [transparent] = [encode(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG")]
    red, white = [1.0, -1.0, -1.0], [1.0, 1.0, 1.0]

    def corner(folder: str, decoding: Decoding) -> list[float]:
        encoder = Encoder.load(folder, decoding=decoding)
        assert (encoder.decoding == Policy.OURS) == (decoding == "ours" or expected_ours)
        return encoder.preprocess.pixels([transparent])[0, :, 0, 0].tolist()

    expected_ours = False
    assert corner(str(theirs), "auto") == corner(str(theirs), "processor") == red
    assert corner(str(theirs), "ours") == white
    assert corner(model_folder, "processor") == pytest.approx(red)
    expected_ours = True
    assert corner(model_folder, "auto") == corner(model_folder, "ours") == white


def test_a_model_that_was_saved_alone_takes_another_folders_processor(
    theirs: Path, tmp_path: Path
) -> None:
    """`AlignModel.save_pretrained` writes `config.json` and the weights, and nothing else."""
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    AlignModel.from_pretrained(theirs).save_pretrained(alone)
    beside.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "processor_config.json"):
        shutil.copy(theirs / name, beside)
    whole = Encoder.load(str(theirs))

    with pytest.raises(InputError, match="has no vocabulary") as refused:
        Encoder.load(str(alone))
    found = Encoder.load(str(alone), processor=str(beside))

    assert "--set evaluate.processor=FOLDER" in str(refused.value.hint)
    assert found.preprocess_hash == whole.preprocess_hash
    files = odd_files()
    np.testing.assert_array_equal(found.embed_images(files), whole.embed_images(files))
    np.testing.assert_array_equal(found.embed_texts(["red"]), whole.embed_texts(["red"]))
    assert list(found.notes) == []


def test_images_of_a_model_that_says_nothing_of_them_are_prepared_as_the_papers(
    theirs: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(theirs, tmp_path / "silent")
    (folder / "processor_config.json").unlink()
    edit_json(folder / "config.json", "vision_config", image_size=289)
    said = tmp_path / "said"
    shutil.copytree(folder, said)
    sizes = {"size": {"height": 346, "width": 346}, "crop_size": {"height": 289, "width": 289}}
    save_processor(said, ALIGN_BASE | sizes)

    silent, spoken = Encoder.load(str(folder)), Encoder.load(str(said))

    files = odd_files()
    assert silent.preprocess == spoken.preprocess
    np.testing.assert_array_equal(silent.embed_images(files), spoken.embed_images(files))
    assert "prepared as the paper's, 289 x 289 pixels" in silent.notes[0]
    assert list(spoken.notes) == []


def test_the_decoding_is_part_of_an_embeddings_identity(model_folder: str, theirs: Path) -> None:
    for folder in (model_folder, str(theirs)):
        ours = Encoder.load(folder, decoding="ours")
        exact = Encoder.load(folder, decoding="processor")

        assert ours.weights_hash == exact.weights_hash
        assert ours.preprocess_hash != exact.preprocess_hash


def test_a_decoy_beside_the_weights_is_neither_read_nor_part_of_the_identity(
    theirs: Path, tmp_path: Path
) -> None:
    before = Encoder.load(str(theirs))
    decoyed = shutil.copytree(theirs, tmp_path / "decoyed")
    (decoyed / "model.fp16.safetensors").write_bytes(b"0")
    (decoyed / "pytorch_model.bin").write_bytes(b"0")
    (decoyed / "config.json~").write_text("{}")

    after = Encoder.load(str(decoyed))

    assert after.identity == before.identity
    assert after.files == before.files
    assert set(after.files) == {
        *("config.json", "model.safetensors", "processor_config.json", "tokenizer.json"),
        "tokenizer_config.json",
    }
    content = (theirs / "model.safetensors").read_bytes()
    assert after.files["model.safetensors"] == hashlib.sha256(content).hexdigest()


def test_the_index_of_shards_is_part_of_the_identity(theirs: Path, tmp_path: Path) -> None:
    """It decides which files are loaded; the same tensors in another file are the same rows."""
    one, two = tmp_path / "one", tmp_path / "two"
    save_align(one, shard_bytes="200KB")
    shutil.copytree(one, two)
    index_path = two / "model.safetensors.index.json"
    index = json.loads(index_path.read_text())
    shard = index["weight_map"]["temperature"]
    shutil.copy(two / shard, two / "other.safetensors")
    for name, file in index["weight_map"].items():
        index["weight_map"][name] = "other.safetensors" if file == shard else file
    index_path.write_text(json.dumps(index))

    first, second = Encoder.load(str(one)), Encoder.load(str(two))

    assert first.weights_hash != second.weights_hash
    assert shard not in second.files
    whole = Encoder.load(str(theirs)).embed_texts(["red"])
    np.testing.assert_array_equal(first.embed_texts(["red"]), whole)
    np.testing.assert_array_equal(second.embed_texts(["red"]), whole)


def test_a_remote_model_is_the_local_one(theirs: Path, tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}"
    for file in theirs.iterdir():
        storage.write_bytes(f"{url}/{file.name}", file.read_bytes())

    remote, local = Encoder.load(url), Encoder.load(str(theirs))

    assert remote.identity == local.identity
    np.testing.assert_array_equal(remote.embed_texts(["red"]), local.embed_texts(["red"]))


def test_a_model_on_a_hub_is_read_and_only_the_files_that_it_consists_of(
    theirs: Path, tmp_path: Path
) -> None:
    served = shutil.copytree(theirs, tmp_path / "served")
    (served / "pytorch_model.bin").write_bytes(b"0")
    (served / "README.md").write_text("a model")
    code = (
        "from openalign.evaluate.embedding.encoder import Encoder; "
        f"print(Encoder.load('hf://{loopback_hub.REPOSITORY}').identity)"
    )

    with loopback_hub.serving(served, tmp_path / "home") as hub:
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=hub.environment,
        )

    expected = Encoder.load(str(theirs))
    assert done.stdout.strip() == expected.identity
    assert sorted(hub.fetched) == sorted(expected.files)


@pytest.mark.parametrize("max_tokens", [20, 1000])
def test_a_text_of_ours_has_at_most_the_tokens_of_its_training(
    max_tokens: int, model_folder: str, tmp_path: Path
) -> None:
    """64 positions are more than 20 tokens, and less than 1000."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    edit_json(folder / "preprocess.json", max_tokens=max_tokens)
    edit_json(folder / "tokenizer_config.json", model_max_length=1000)

    encoder = Encoder.load(str(folder))

    assert encoder.tokenizer.truncation["max_length"] == min(64, max_tokens)
    assert encoder.embed_texts(["red " * 1000]).shape == (1, encoder.model.config.projection_dim)


def test_an_image_size_that_the_tower_cannot_pool_is_refused(theirs: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(theirs, tmp_path / "model")
    edit_json(folder / "config.json", "vision_config", hidden_dim=1)
    save_processor(folder, ALIGN_BASE | {"crop_size": {"height": 96, "width": 96}})

    with pytest.raises(InputError, match=r"model: the image tower takes no 96 x 96 images"):
        Encoder.load(str(folder))


def test_a_tokenizer_of_another_model_is_refused(theirs: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(theirs, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in (*WORDS, "more")))

    with pytest.raises(InputError, match=r"vocab.txt gives 'more' the id"):
        Encoder.load(str(folder))


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
        work_of(encoder, tmp_path / "work").images({"rows.npy": [image_at(tmp_path / "red.png")]})
    assert caught.value.hint is not None
    assert "its training diverged" in caught.value.hint


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
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
