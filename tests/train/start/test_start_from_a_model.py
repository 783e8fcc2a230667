import shutil
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image
from saved_align import WORDS, edit_json, save_align, save_processor
from tiny_training import jpeg_of
from tokenizers import Tokenizer
from transformers import AlignModel, AutoImageProcessor, AutoTokenizer

from openalign.errors import ConfigError, InputError, StageError
from openalign.train.config import ImageTower, ModelConfig, TextTower, TrainConfig
from openalign.train.data.preprocess import (
    Preprocess,
    build_tokenizer,
    padded_to_most,
    tokenize,
)
from openalign.train.data.words import Normalization, WordRules
from openalign.train.model.export import write_export
from openalign.train.model.towers import build_towers
from openalign.train.presets import ImageShape, TextShape
from openalign.train.start import begin, origin
from openalign.train.start.model_reading import check_texts, word_rules
from openalign.train.starting_points import (
    FromModel,
    FromRun,
    FromTowers,
    ImageWeights,
    StartingPoint,
)

TEXTS = ["a red square", "Red, café!", "日本の猫 🍎", "word " * 80]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AlignModel]:
    folder = tmp_path_factory.mktemp("saved") / "align"
    folder.mkdir()
    return folder, save_align(folder)


@pytest.fixture
def folder(saved: tuple[Path, AlignModel], tmp_path: Path) -> Path:
    """A copy of the model's folder, to be changed."""
    return Path(shutil.copytree(saved[0], tmp_path / "copy"))


def config_from(folder: Path, **model: object) -> TrainConfig:
    return TrainConfig(init_from=FromModel(path=str(folder)), model=ModelConfig(**model))  # pyright: ignore[reportArgumentType]


def hash_of(folder: Path) -> str:
    return origin.fingerprint(FromModel(path=str(folder)), cache=str(folder.parent / "hashes.json"))


def begun(config: TrainConfig) -> begin.Beginning:
    assert isinstance(config.init_from, FromModel)
    return begin.begin(config, content=hash_of(Path(config.init_from.path)))


def test_unset_sizes_are_those_of_the_model(saved: tuple[Path, AlignModel]) -> None:
    beginning = begun(config_from(saved[0]))

    model = beginning.config.model
    assert model.image_tower.shape == ImageShape(0.25, 0.3)
    assert model.text_tower.shape == TextShape(num_layers=1, hidden_size=32, num_heads=2)
    assert (model.resize_px, model.crop_px, model.max_tokens) == (40, 32, 64)
    assert set(beginning.taken) == {
        "train.model.image_tower: {width: 0.25, depth: 0.3}",
        "train.model.text_tower: {num_layers: 1, hidden_size: 32, num_heads: 2}",
        "train.model.resize_px: 40",
        "train.model.crop_px: 32",
        f"train.model.vocabulary_size: {len(WORDS)}",
        "train.model.normalization: none",
        "train.model.split_symbols: false",
    }


def test_settings_that_agree_are_kept_and_others_of_the_towers_count(
    saved: tuple[Path, AlignModel],
) -> None:
    tower = ImageTower(preset="b0", width=0.25, depth=0.3, stochastic_depth=0.4)
    beginning = begun(config_from(saved[0], crop_px=32, image_tower=tower))

    assert beginning.config.model.image_tower == ImageTower(
        preset="b0", width=0.25, depth=0.3, stochastic_depth=0.4
    )
    assert not any("crop_px" in line or "image_tower" in line for line in beginning.taken)


@pytest.mark.parametrize(
    ("setting", "said", "found"),
    [
        ({"crop_px": 64}, "`train.model.crop_px` is 64", "has 32"),
        ({"resize_px": 300}, "`train.model.resize_px` is 300", "has 40"),
        ({"max_tokens": 65}, "`train.model.max_tokens` is 65", "has positions for 64 tokens"),
        ({"vocabulary_size": 500}, "`train.model.vocabulary_size` is 500", f"has {len(WORDS)}"),
        ({"normalization": "nfkc"}, "`train.model.normalization` is nfkc", "has none"),
        ({"lowercase": False}, "`train.model.lowercase` is false", "has true"),
        (
            {"image_tower": ImageTower(preset="b7")},
            "`train.model.image_tower` is width 2.0, depth 3.1",
            "has width 0.25, depth 0.3",
        ),
        (
            {"text_tower": TextTower(preset="mini")},
            "`train.model.text_tower` is num_layers 4, hidden_size 256, num_heads 4",
            "has num_layers 1, hidden_size 32, num_heads 2",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_that_contradicts_the_model_is_refused_with_both_values(
    saved: tuple[Path, AlignModel], setting: dict[str, object], said: str, found: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        begin.check(config_from(saved[0], **setting))

    assert said in str(refused.value)
    assert found in str(refused.value)
    assert str(saved[0]) in str(refused.value)


def test_all_settings_that_contradict_the_model_are_named_at_once(
    saved: tuple[Path, AlignModel],
) -> None:
    tower = ImageTower(width=0.35, depth=0.5)
    with pytest.raises(ConfigError) as refused:
        begin.check(config_from(saved[0], image_tower=tower, crop_px=32, max_tokens=65))

    said, hint = str(refused.value), refused.value.hint or ""
    assert "`train.model.image_tower` is width 0.35, depth 0.5" in said
    assert "; `train.model.max_tokens` is 65, and it has positions for 64 tokens" in said
    assert "crop_px" not in said + hint
    assert hint == (
        "leave `image_tower` and `max_tokens` out, or write what the model has: image_tower: "
        "{width: 0.25, depth: 0.3}, max_tokens: 64"
    )


def test_texts_of_which_the_model_knows_hardly_a_word_are_refused(
    saved: tuple[Path, AlignModel],
) -> None:
    pretrained = begun(config_from(saved[0])).pretrained

    # `red` and nine words in another script are a tenth that is known: that is just enough.
    check_texts(pretrained, ["пес " * 9 + "red", "кот " * 9 + "red"])
    check_texts(pretrained, [""])
    check_texts(None, ["пес"])
    with pytest.raises(InputError) as refused:
        check_texts(pretrained, ["пес " * 10 + "red"])
    message = f"91% of the tokens of alt-texts, such as {'пес ' * 10 + 'red'!r}, stand for words "
    assert message in str(refused.value)
    assert f"that {saved[0]}/tokenizer.json does not know: it has " in str(refused.value)
    assert f"and its model {len(WORDS)} ids" in str(refused.value)


def test_a_shorter_length_cuts_texts_and_leaves_the_model_s_positions(
    saved: tuple[Path, AlignModel],
) -> None:
    beginning = begun(config_from(saved[0], max_tokens=32))

    pretrained = beginning.pretrained
    assert pretrained is not None
    assert pretrained.words is not None
    assert pretrained.text is not None
    assert tokenize(pretrained.words.tokenizer, TEXTS).ids.shape == (len(TEXTS), 32)
    assert pretrained.preprocess.max_tokens == beginning.config.model.max_tokens == 32
    assert pretrained.text.max_position_embeddings == 64
    assert not any("max_tokens" in line for line in beginning.taken)


def test_the_towers_compute_what_the_model_computes(saved: tuple[Path, AlignModel]) -> None:
    folder, model = saved
    beginning = begun(config_from(folder))
    assert beginning.pretrained is not None
    pixels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    tokens = tokenize(beginning.pretrained.words.tokenizer, TEXTS[:3])  # pyright: ignore[reportOptionalMemberAccess]

    towers = build_towers(
        beginning.config, vocabulary_size=len(WORDS), pretrained=beginning.pretrained
    ).eval()
    with torch.inference_mode():
        image, text, temperature = towers(pixels, tokens.ids, tokens.mask)
        expected = model(pixel_values=pixels, input_ids=tokens.ids, attention_mask=tokens.mask)

    torch.testing.assert_close(image, expected.image_embeds)
    torch.testing.assert_close(text, expected.text_embeds)
    assert temperature.item() == model.temperature.item()


def test_the_export_gives_inputs_and_embeddings_as_the_model_does(
    saved: tuple[Path, AlignModel], tmp_path: Path
) -> None:
    folder, model = saved
    beginning = begun(config_from(folder))
    pretrained = beginning.pretrained
    assert pretrained is not None
    towers = build_towers(beginning.config, vocabulary_size=len(WORDS), pretrained=pretrained)

    write_export(
        str(tmp_path),
        weights=towers.state_dict(),
        vocabulary=pretrained.pieces(),
        model=beginning.config.model,
        pretrained=pretrained,
    )

    again = AlignModel.from_pretrained(str(tmp_path)).state_dict()
    for name, tensor in model.state_dict().items():
        if "pooler" not in name:
            assert torch.equal(again[name], tensor), name
    ids = [
        AutoTokenizer.from_pretrained(str(each))(TEXTS)["input_ids"] for each in (folder, tmp_path)
    ]
    assert ids[0] == ids[1]
    pieces = pretrained.pieces()
    assert pieces[:23] == list(WORDS[:23])
    assert (len(pieces), pieces[23]) == (len(WORDS), "")  # `##s` stands in the list twice


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"do_center_crop": True}, id="crop"),
        pytest.param({}, id="the library's defaults"),
        pytest.param({"do_rescale": False, "include_top": False}, id="no rescaling"),
        pytest.param({"do_normalize": False, "rescale_offset": True}, id="offset"),
        pytest.param(
            {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "resample": 2},
            id="colors",
        ),
    ],
)
def test_images_are_prepared_as_the_model_s_processor_does(
    folder: Path, options: dict[str, object], tmp_path: Path
) -> None:
    sizes = {"size": {"height": 40, "width": 40}, "crop_size": {"height": 32, "width": 32}}
    processor = save_processor(folder, sizes | options)
    side_px = 32 if options.get("do_center_crop") else 40
    beginning = begun(config_from(folder))
    assert beginning.pretrained is not None
    image = jpeg_of("red", "circle", side_px=48)

    pixels = beginning.pretrained.preprocess.pixels([image])

    expected = processor(Image.open(BytesIO(image)), return_tensors="pt")["pixel_values"]
    assert beginning.config.model.crop_px == side_px
    scale = float(expected.abs().max())
    # A color of 255 may be rounded the other way: see `preprocess.squashed`.
    std = torch.tensor(beginning.pretrained.preprocess.std).reshape(3, 1, 1)
    steps = (pixels - expected).abs() * 255 * std
    assert steps.max() < 1.01
    assert steps.mean() < 0.02
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    write_export(
        str(tmp_path / "export"),
        weights=build_towers(
            beginning.config, vocabulary_size=len(WORDS), pretrained=beginning.pretrained
        ).state_dict(),
        vocabulary=beginning.pretrained.pieces(),
        model=beginning.config.model,
        pretrained=beginning.pretrained,
    )
    exported = AutoImageProcessor.from_pretrained(str(tmp_path / "export"), backend="pil")
    again = exported(Image.open(BytesIO(image)), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(again, expected, atol=1e-5 * scale, rtol=0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": {"height": 40, "width": 44}}, "resizes to a square"),
        ({"size": {"shortest_edge": 40}, "do_center_crop": True}, "resizes to a square"),
        ({"do_resize": False, "do_center_crop": True}, "resizes to a square"),
        (
            {"do_center_crop": True, "crop_size": {"height": 48, "width": 48}},
            "crops a square from it",
        ),
    ],
)
def test_a_processor_that_training_cannot_follow_is_refused(
    folder: Path, options: dict[str, object], said: str
) -> None:
    save_processor(folder, {"size": {"height": 40, "width": 40}} | options)

    with pytest.raises(InputError, match=said):
        begin.check(config_from(folder))


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("normalization", ["none", "nfc", "nfkc"])
@pytest.mark.parametrize("split_symbols", [False, True])
def test_the_rules_of_words_are_read_from_an_exported_tokenizer(
    *, lowercase: bool, normalization: Normalization, split_symbols: bool
) -> None:
    rules = WordRules(lowercase=lowercase, normalization=normalization, split_symbols=split_symbols)
    tokenizer = build_tokenizer(WORDS, Preprocess(**asdict(rules)))

    assert word_rules(Tokenizer.from_str(tokenizer.to_str())) == rules


def test_a_tokenizer_that_comes_along_pads_to_one_length_for_compiled_towers(
    saved: tuple[Path, AlignModel],
) -> None:
    pretrained = begun(config_from(saved[0])).pretrained
    assert pretrained is not None
    assert pretrained.words is not None

    longest = tokenize(pretrained.words.tokenizer, TEXTS[:1])
    most = tokenize(padded_to_most(pretrained.words.tokenizer), TEXTS[:1])

    length = longest.ids.shape[1]
    assert length < 64
    assert most.ids.shape == most.mask.shape == (1, 64)
    assert torch.equal(most.ids[:, :length], longest.ids)
    assert most.mask[:, length:].sum() == 0


def test_the_hash_is_of_the_content_and_not_of_the_place(folder: Path, tmp_path: Path) -> None:
    before = hash_of(folder)
    moved = folder.rename(tmp_path / "elsewhere")

    assert hash_of(moved) == before

    weights = moved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert hash_of(moved) != before


def test_a_model_that_was_changed_since_it_was_hashed_is_refused(folder: Path) -> None:
    content = hash_of(folder)
    edit_json(folder / "config.json", "text_config", hidden_dropout_prob=0.3)

    with pytest.raises(StageError, match="was changed since the run was started"):
        begin.begin(config_from(folder), content=content)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (FromModel(path="none"), "path"),
        (FromTowers(text="none"), "text"),
        (
            FromTowers(image=ImageWeights(path="none", architecture="efficientnet_b0")),
            "image.path",
        ),
    ],
)
def test_a_path_to_nothing_is_told_with_its_setting_and_where_it_leads(
    start: StartingPoint, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError) as refused:
        origin.fingerprint(start, cache=str(tmp_path / "hashes.json"))

    assert str(refused.value) == (
        f"`train.init_from.{name}` is none, which is {tmp_path}/none, and nothing is there"
    )
    assert "network" not in str(refused.value.hint)


def test_weights_of_another_shape_are_found_before_anything_is_read(folder: Path) -> None:
    """What `--prepare` and a run's first look find, ranks need not find hours later."""
    edit_json(folder / "config.json", projection_dim=64)

    with pytest.raises(InputError, match="`projection_dim` 64 must be the width"):
        begin.check(config_from(folder))


def test_a_run_that_is_not_complete_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not complete"):
        origin.files_of(FromRun(root=str(tmp_path)))
