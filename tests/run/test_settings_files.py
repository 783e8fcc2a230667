"""Which pipelines a command knows by name, and what `extends` makes of them."""

from pathlib import Path

import pytest

from openalign.errors import ConfigError
from openalign.run.config import load_pipeline
from openalign.run.settings_files import read_settings_file, root_called, shipped_text

CHAIN = """
mine:
  extends: middle
  train: {optimizer: {kind: lamb, weight_decay: 0.5}}
middle:
  extends: top
  train: {optimizer: {kind: adamw, beta1: 0.5}}
top:
  harvest: {source: {kind: table, path: a.csv}}
  train: {seed: 7, optimizer: {kind: lamb, beta2: 0.5}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pipeline_may_extend_one_that_extends_another(folder: Path) -> None:
    (folder / "pipelines.yaml").write_text(CHAIN)
    train = load_pipeline("pipelines.yaml", "mine").train
    assert train.seed == 7
    # A section of another kind replaces what stood there, and so nothing of `top`'s is left.
    assert (train.optimizer.kind, train.optimizer.weight_decay) == ("lamb", 0.5)
    assert train.optimizer.beta2 == 0.999


def test_a_chain_that_comes_back_is_an_error(folder: Path) -> None:
    (folder / "pipelines.yaml").write_text("a: {extends: b}\nb: {extends: c}\nc: {extends: a}\n")
    with pytest.raises(ConfigError) as caught:
        load_pipeline("pipelines.yaml", "a")
    assert str(caught.value) == "pipelines.yaml:3: `c` extends itself: a -> b -> c -> a"


def test_the_recipes_are_known_where_there_is_no_file(folder: Path) -> None:
    assert load_pipeline("pipelines.yaml", "demo").root == "runs/demo"
    assert not read_settings_file("pipelines.yaml").own


def test_a_folder_without_pipelines_is_told_how_one_is_made(folder: Path) -> None:
    with pytest.raises(ConfigError, match="there is no pipeline `mine`") as refused:
        read_settings_file("pipelines.yaml").pipeline("mine")
    assert str(refused.value) == (
        f"there is no pipeline `mine`: there is no pipelines.yaml in {folder}"
    )
    ship, way = (refused.value.hint or "").split("\n")
    assert ship.startswith("these are the recipes that ship: align, demo, ")
    assert way.startswith("go to the folder of your run, or name its settings file with --config")
    assert "openalign init mine PATH makes one" in way


def test_a_run_that_no_pipeline_made_is_called_by_its_name(folder: Path) -> None:
    for name in ("align-base", "demo", "mine"):
        (folder / "runs" / name).mkdir(parents=True)
    (folder / "pipelines.yaml").write_text("mine: {extends: demo}\n")

    names = ("align-base", "demo", "mine", "none", "", "runs/demo")
    assert [root_called(name, "pipelines.yaml") for name in names] == [
        "runs/align-base",
        *[None] * 5,
    ]


def test_a_file_that_is_named_and_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml cannot be read"):
        load_pipeline("mine.yaml", "demo")


def test_a_pipeline_of_ones_own_may_extend_a_recipe(folder: Path) -> None:
    (folder / "pipelines.yaml").write_text("mine: {extends: cc3m, train: {seed: 3}}\n")
    config = load_pipeline("pipelines.yaml", "mine")
    assert (config.name, config.root, config.train.seed) == ("mine", "runs/mine", 3)
    assert config.train.model.image_tower.preset == "b3"


@pytest.mark.parametrize(
    ("name", "precision"), [("cc3m", "bf16"), ("coyo", "bf16"), ("demo", "fp32")]
)
def test_recipes_that_need_gpus_say_bf16(folder: Path, name: str, precision: str) -> None:
    assert load_pipeline("pipelines.yaml", name).train.precision == precision


def test_a_recipe_is_not_changed_by_ones_own_pipeline_of_its_parents_name(folder: Path) -> None:
    (folder / "pipelines.yaml").write_text("align: {evaluate: {model: m}, train: {seed: 3}}\n")
    assert load_pipeline("pipelines.yaml", "align").train.seed == 3
    assert load_pipeline("pipelines.yaml", "demo").train.seed == 0


def test_the_package_holds_the_recipes_of_the_repository() -> None:
    assert shipped_text() == (Path(__file__).parents[2] / "pipelines.yaml").read_text()
