"""A tiny model with random weights, and a benchmark of painted squares, for every test here."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from squares import config_of, run_stage

from openalign.files.manifest import StageResult
from openalign.train.config import ImageTower, ModelConfig, TextTower, TrainConfig
from openalign.train.data.preprocess import SPECIAL_TOKENS
from openalign.train.model.export import write_export
from openalign.train.model.towers import build_towers

COLORS = ("red", "green", "blue", "yellow", "black", "gray", "purple", "orange")
SPLITS = ("test", "test", "train", "test", "val", "test", "test", "train")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the export of a tiny model that was never trained."""
    return _write_model(tmp_path_factory.mktemp("model") / "export", seed=0)


@pytest.fixture(scope="session")
def other_model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the export of a tiny model with other weights."""
    return _write_model(tmp_path_factory.mktemp("other_model") / "export", seed=1)


def _write_model(folder: Path, *, seed: int) -> str:
    model = ModelConfig(
        image_tower=ImageTower(preset="b0", width=0.1, depth=0.1),
        text_tower=TextTower(preset="mini", num_layers=1, hidden_size=32, num_heads=2),
        resize_px=36,
        crop_px=32,
        max_tokens=12,
        vocabulary_size=200,
    )
    vocabulary = [*SPECIAL_TOKENS, *COLORS, "a", "square", "big", "light", "dark"]
    config = TrainConfig(model=model, seed=seed)
    towers = build_towers(config, vocabulary_size=len(vocabulary))
    write_export(str(folder), weights=towers.state_dict(), vocabulary=vocabulary, model=model)
    return str(folder)


def _paint(color: str, side: int = 40) -> bytes:
    image = Image.new("RGB", (side, side), color)
    image.paste("white", (2, 2, 10, 6))
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def paint() -> Callable[[str], bytes]:
    """Return what makes a PNG of one color with a mark in a corner."""
    return _paint


@pytest.fixture
def benchmark_folder(tmp_path: Path) -> Path:
    """Return a folder of eight images, their captions and some composed queries."""
    return _write_benchmark(tmp_path / "site" / "benchmark")


@pytest.fixture(scope="session")
def shared_benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same folder, for tests that only read it."""
    return _write_benchmark(tmp_path_factory.mktemp("shared") / "benchmark")


def _write_benchmark(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    images = []
    for color, split in zip(COLORS, SPLITS, strict=True):
        (folder / "images" / f"{color}.png").write_bytes(_paint(color))
        sentences = [{"raw": f"a {color} square"}, {"raw": f"{color} <b>&amp; big"}]
        images.append({"filename": f"{color}.png", "split": split, "sentences": sentences})
    queries = [
        {"image": "red.png", "minus": "red", "plus": "green", "target": "green.png", "kind": "hue"},
        {
            "image": "gray.png",
            "minus": "light",
            "plus": "dark",
            "target": "black.png",
            "kind": "tone",
        },
        {"image": "blue.png", "minus": "", "plus": "red", "target": "red.png", "kind": "hue"},
    ]
    (folder / "dataset.json").write_text(json.dumps({"dataset": "squares", "images": images}))
    (folder / "composed.json").write_text(json.dumps({"queries": queries}))
    return folder


@pytest.fixture
def folder(
    benchmark_folder: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a folder with a model and a benchmark, and without settings."""
    shutil.copytree(model_folder, tmp_path / "tiny-align")
    shutil.copytree(benchmark_folder / "images", tmp_path / "squares")
    for name in ("dataset.json", "composed.json"):
        shutil.copy(benchmark_folder / name, tmp_path / "squares")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def done(benchmark_folder: Path, model_folder: str, tmp_path: Path) -> tuple[Path, StageResult]:
    """Return the folder of a whole evaluation of the benchmark, and what the stage says of it."""
    output = tmp_path / "site" / "evaluate"
    config = config_of(benchmark_folder)
    return output, run_stage(benchmark_folder, config, model=model_folder, output=output)
