from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from saved_align import WORDS
from torch import Tensor, nn
from transformers import (
    AlignModel,
    AutoProcessor,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizer,
)

from openalign.errors import ConfigError, InputError
from openalign.evaluate.embedding.encoder import Encoder
from openalign.train.config import ImageTower, ModelConfig, TextTower, TrainConfig
from openalign.train.data.preprocess import tokenize
from openalign.train.model.export import write_export
from openalign.train.model.towers import Towers, build_towers
from openalign.train.start import begin, origin
from openalign.train.starting_points import FromTowers, ImageWeights

MODEL: dict[str, Any] = {"resize_px": 64, "crop_px": 64, "vocabulary_size": 200}
SMALL_TEXT = TextTower(preset="mini", num_layers=1, hidden_size=32, num_heads=2)


def begun(start: FromTowers, tmp_path: Path, **model: Any) -> begin.Beginning:
    config = TrainConfig(init_from=start, model=ModelConfig(**MODEL | model))
    content = origin.fingerprint(start, cache=str(tmp_path / "hashes.json"))
    return begin.begin(config, content=content)


def towers_of(beginning: begin.Beginning, *, vocabulary_size: int = 200) -> Towers:
    return build_towers(
        beginning.config, vocabulary_size=vocabulary_size, pretrained=beginning.pretrained
    ).eval()


@torch.no_grad()
def with_lively_norms(model: nn.Module) -> nn.Module:
    """Return a model whose batch norms have seen noise: what it computes depends on the image."""
    draw = torch.Generator().manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
            layer.weight.uniform_(0.8, 1.2, generator=draw)
            layer.bias.normal_(generator=draw).mul_(0.1)
    model.train()(torch.randn(8, 3, 64, 64, generator=draw))
    return model.eval()


# In float64, in which towers that sum in another order stay the same.


def pooled(towers: Towers, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        return towers.double().align.vision_model(pixel_values=pixels.double()).pooler_output


def features_of_timm(model: Any, pixels: Tensor) -> Tensor:
    model.double()
    with torch.inference_mode():
        return model.blocks(model.bn1(model.conv_stem(pixels.double()))).mean((2, 3))


def features_of_torchvision(model: Any, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.double().features[:-1](pixels.double()).mean((2, 3))


def shifted(pixels: Tensor) -> Tensor:
    """Return images moved by a pixel to the upper left; the last row and column are zero."""
    return nn.functional.pad(pixels[:, :, 1:, 1:], (0, 1, 0, 1))


def random_pixels() -> Tensor:
    """Return images whose first row and column are zero, as is what lies outside an image."""
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    pixels[:, :, 0], pixels[:, :, :, 0] = 0, 0
    return pixels


@pytest.mark.parametrize("name", ["tf_efficientnet_b0", "tf_efficientnet_b1"])
def test_the_image_tower_computes_what_timm_s_tf_efficientnet_does(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = with_lively_norms(timm.create_model(name))
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    image = ImageWeights(path=str(tmp_path / "weights.safetensors"), architecture=name)

    beginning = begun(FromTowers(image=image), tmp_path, text_tower=SMALL_TEXT)

    assert beginning.config.model.image_tower == ImageTower(preset=name[-2:])  # pyright: ignore[reportArgumentType]
    expected = features_of_timm(model, random_pixels())
    torch.testing.assert_close(
        pooled(towers_of(beginning), random_pixels()), expected, atol=1e-10, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("make", "features", "ending"),
    [
        (torchvision.models.efficientnet_b0, features_of_torchvision, "pth"),
        (lambda: timm.create_model("efficientnet_b0"), features_of_timm, "safetensors"),
    ],
    ids=["torchvision", "timm"],
)
def test_an_efficientnet_that_pads_alike_on_all_sides_sees_a_shifted_image(
    make: Callable[[], nn.Module],
    features: Callable[[Any, Tensor], Tensor],
    ending: str,
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    model = with_lively_norms(make())
    path = tmp_path / f"weights.{ending}"
    if ending == "pth":
        torch.save(model.state_dict(), path)
    else:
        save_file(model.state_dict(), path)
    image = ImageWeights(path=str(path), architecture="efficientnet_b0")

    beginning = begun(FromTowers(image=image), tmp_path, text_tower=SMALL_TEXT)

    own = pooled(towers_of(beginning), random_pixels())
    torch.testing.assert_close(
        own, features(model, shifted(random_pixels())), atol=1e-10, rtol=1e-9
    )
    assert (own - features(model, random_pixels())).abs().max() > 0.01


def save_bert(folder: Path, cls: type[Any] = BertModel, *, num_positions: int = 40) -> Any:
    """Save a random BERT with a tokenizer that folds case and drops accents, and return it."""
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=100,
        max_position_embeddings=num_positions,
        layer_norm_eps=1e-5,
    )
    torch.manual_seed(0)
    model = cls(config).eval()
    model.save_pretrained(folder)
    words = {word: number for number, word in enumerate(WORDS)}
    BertTokenizer(vocab=words, model_max_length=512).save_pretrained(folder)
    return model


@pytest.mark.parametrize("cls", [BertModel, BertForMaskedLM], ids=["plain", "with a head"])
def test_the_text_tower_computes_what_the_bert_does(cls: type[Any], tmp_path: Path) -> None:
    model = save_bert(tmp_path / "bert", cls)
    encoder = getattr(model, "bert", model)

    small = ImageTower(preset="b0", width=0.25, depth=0.3)
    beginning = begun(
        FromTowers(text=str(tmp_path / "bert")),
        tmp_path,
        image_tower=small,
        vocabulary_size=100_000,
    )

    pretrained = beginning.pretrained
    assert pretrained is not None
    assert pretrained.words is not None
    texts = ["A red Café square", "日本 猫"]
    tokens = tokenize(pretrained.words.tokenizer, texts)
    library = BertTokenizer.from_pretrained(str(tmp_path / "bert"))
    assert tokens.ids.tolist() == library(texts, padding=True)["input_ids"]
    towers = towers_of(beginning, vocabulary_size=len(WORDS))
    with torch.inference_mode():
        own = towers.align.text_model(tokens.ids, attention_mask=tokens.mask).last_hidden_state
        expected = encoder(tokens.ids, attention_mask=tokens.mask).last_hidden_state
    torch.testing.assert_close(own, expected)
    assert beginning.config.model.max_tokens == 40
    assert beginning.config.model.text_tower.shape == (2, 48, 3)


@pytest.mark.parametrize(
    ("num_positions", "said", "expected"),
    [
        pytest.param(100, 64, 64, id="the paper's length, unless another is set"),
        pytest.param(40, 64, 40, id="all that a shorter one takes"),
        pytest.param(100, 16, 16, id="less"),
        pytest.param(100, 100, 100, id="all positions"),
    ],
)
def test_texts_are_cut_where_the_setting_says_and_the_bert_keeps_its_positions(
    num_positions: int, said: int, expected: int, tmp_path: Path
) -> None:
    bert = save_bert(tmp_path / "bert", num_positions=num_positions)
    small = ImageTower(preset="b0", width=0.25, depth=0.3)
    start = FromTowers(text=str(tmp_path / "bert"))
    options = {"image_tower": small, "vocabulary_size": 100_000, "max_tokens": said}
    beginning = begun(start, tmp_path, **options)

    pretrained = beginning.pretrained
    assert pretrained is not None
    assert pretrained.words is not None
    words = "red " * 200
    trained_on = tokenize(pretrained.words.tokenizer, [words]).ids
    assert beginning.config.model.max_tokens == trained_on.shape[1] == expected
    towers = towers_of(beginning, vocabulary_size=len(WORDS))
    export = str(tmp_path / "export")
    write_export(
        export,
        weights=towers.state_dict(),
        vocabulary=pretrained.pieces(),
        model=beginning.config.model,
        pretrained=pretrained,
    )
    positions = "embeddings.position_embeddings.weight"
    again = AlignModel.from_pretrained(export).text_model.state_dict()
    assert torch.equal(again[positions], bert.state_dict()[positions])
    for auto, options in ((AutoTokenizer, {"truncation": True}), (AutoProcessor, {})):
        library: Any = auto.from_pretrained(export)
        given = library(text=[words], return_tensors="pt", **options)["input_ids"]
        assert torch.equal(given, trained_on)
    evaluated = tokenize(Encoder.load(export).tokenizer, [words]).ids
    assert torch.equal(evaluated, trained_on)


def test_a_length_beyond_a_bert_s_positions_is_refused(tmp_path: Path) -> None:
    save_bert(tmp_path / "bert", num_positions=40)

    start = FromTowers(text=str(tmp_path / "bert"))
    with pytest.raises(ConfigError, match=r"`train.model.max_tokens` is 41.*positions for 40 t"):
        begun(start, tmp_path, max_tokens=41, vocabulary_size=100_000)


def test_weights_of_another_network_are_refused_by_the_tensor(tmp_path: Path) -> None:
    save_file(timm.create_model("tf_efficientnet_b1").state_dict(), tmp_path / "b1.safetensors")
    image = ImageWeights(path=str(tmp_path / "b1.safetensors"), architecture="tf_efficientnet_b0")

    with pytest.raises(InputError, match=r"blocks\.0\.1.bn1.bias is no tensor of the EfficientNet"):
        begun(FromTowers(image=image), tmp_path, text_tower=SMALL_TEXT)


def test_a_checkpoint_that_holds_code_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": Path("/tmp")}, tmp_path / "weights.pt")
    image = ImageWeights(path=str(tmp_path / "weights.pt"), architecture="efficientnet_b0")

    with pytest.raises(InputError, match="holds more than tensors"):
        begun(FromTowers(image=image), tmp_path)


def test_a_preset_that_is_not_the_architecture_is_refused(tmp_path: Path) -> None:
    image = ImageWeights(path=str(tmp_path / "weights.pt"), architecture="tf_efficientnet_b0")
    config = TrainConfig(
        init_from=FromTowers(image=image), model=ModelConfig(image_tower=ImageTower(preset="b3"))
    )

    with pytest.raises(ConfigError, match=r"width 1.2, depth 1.4.*has width 1.0, depth 1.0"):
        begin.check(config)


@pytest.mark.parametrize("name", ["efficientnet_l2", "tf_efficientnetv2_s", "resnet50", "b0"])
def test_another_architecture_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="architecture must be tf_efficientnet_b0 to"):
        ImageWeights(path="weights.pt", architecture=name)


def test_images_have_the_colors_that_the_tower_was_trained_with(tmp_path: Path) -> None:
    torch.save(torchvision.models.efficientnet_b0().state_dict(), tmp_path / "weights.pth")
    image = ImageWeights(path=str(tmp_path / "weights.pth"), architecture="efficientnet_b0")

    beginning = begun(FromTowers(image=image), tmp_path, text_tower=SMALL_TEXT)

    assert beginning.pretrained is not None
    # White, as ImageNet's mean and deviation leave it: (1 - 0.485) / 0.229 and so on.
    white = beginning.pretrained.preprocess.normalized(torch.ones(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(white, torch.tensor([2.2489, 2.4286, 2.6400]), atol=1e-4, rtol=0)
