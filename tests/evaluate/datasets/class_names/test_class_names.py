import json
import subprocess
import sys
from pathlib import Path

import pytest
import timm.data
from clip_benchmark.datasets import builder
from open_clip import zero_shot_metadata
from torchvision.datasets import FashionMNIST

from openalign.errors import InputError, MissingExtraError
from openalign.evaluate.datasets.class_names import reading
from openalign.evaluate.datasets.class_names.known import class_names_of, templates_of
from openalign.evaluate.datasets.class_names.known_lists import CLASS_NAMES, TEMPLATES
from openalign.evaluate.datasets.class_names.reading import imagenet_wnids, named_classes
from openalign.evaluate.datasets.dataset import ImageClass


def test_imagenets_names_and_templates_are_open_clips() -> None:
    names, templates = class_names_of("imagenet"), templates_of("imagenet")

    assert list(names) == list(zero_shot_metadata.IMAGENET_CLASSNAMES)
    assert (len(names), len(templates), len(templates_of("imagenet_simple"))) == (1000, 80, 7)
    for template, filled in zip(
        templates, zero_shot_metadata.OPENAI_IMAGENET_TEMPLATES, strict=True
    ):
        assert template.format("tench") == filled("tench")


def test_synsets_are_timms_in_sorted_order() -> None:
    wnids = imagenet_wnids()

    assert list(wnids) == timm.data.ImageNetInfo("imagenet1k").label_names()
    assert len(wnids) == 1000
    assert list(wnids) == sorted(wnids)


def test_other_lists_are_clip_benchmarks_and_torchvisions() -> None:
    folder = Path(builder.__file__).parent
    names = json.loads((folder / "en_classnames.json").read_text())
    templates = json.loads((folder / "en_zeroshot_classification_templates.json").read_text())

    assert list(class_names_of("pets")) == names["pets"]
    assert list(class_names_of("fashion_mnist")) == FashionMNIST.classes
    assert [each.replace("{}", "{c}") for each in templates_of("dtd")] == templates["dtd"]


@pytest.mark.parametrize("name", list(CLASS_NAMES))
def test_every_known_list_of_names_is_there(name: str) -> None:
    names = class_names_of(name)

    assert len(names) > 1
    blank = [number for number, each in enumerate(names) if not each.strip()]
    assert blank == ([3] if name == "clevr_distance" else [])  # "{} shapes.": neither near nor far


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_every_known_template_has_one_place_for_a_name(name: str) -> None:
    assert all(template.count("{}") == 1 for template in templates_of(name))


def test_an_unknown_list_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match="class names `imagnet`: there is no such list") as names:
        class_names_of("imagnet")
    with pytest.raises(
        InputError, match="templates `foood101`: there is no such list"
    ) as templates:
        templates_of("foood101")

    assert str(names.value.hint).startswith("did you mean `imagenet`?")
    assert str(templates.value.hint).startswith("did you mean `food101`?")


@pytest.mark.parametrize(
    ("name", "library"),
    [
        pytest.param("imagenet", "open_clip_torch", id="open_clip"),
        pytest.param("pets", "clip_benchmark", id="clip_benchmark"),
        pytest.param("fashion_mnist", "torchvision", id="torchvision"),
    ],
)
def test_a_library_that_is_not_there_is_told_with_the_command(
    monkeypatch: pytest.MonkeyPatch, name: str, library: str
) -> None:
    reading._open_clip_lists.cache_clear()
    reading._clip_benchmark_lists.cache_clear()
    reading._torchvision_classes.cache_clear()
    monkeypatch.setattr(reading, "find_spec", lambda _: None)

    with pytest.raises(MissingExtraError, match=f"{library} is not installed") as caught:
        class_names_of(name)

    assert caught.value.hint == "pip install 'openalign[names]'"


def test_another_version_of_a_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reading._torchvision_classes.cache_clear()
    with pytest.raises(InputError, match=r"mnist.py: has no classes of Fashion"):
        reading._torchvision_classes("Fashion")

    with pytest.raises(InputError, match=r"nowhere.py is not there") as caught:
        reading._file_of("torchvision", "datasets/nowhere.py")
    assert "openalign[names]" in str(caught.value.hint)


def test_asking_for_names_imports_no_library() -> None:
    code = (
        "from openalign.evaluate.datasets.class_names.known import class_names_of as of;"
        " import sys; of('imagenet'), of('pets'), of('fashion_mnist');"
        "print([m for m in ('torch', 'torchvision', 'open_clip') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_files_lines_are_names_in_the_order_of_the_classes(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffbig cat\r\nsmall dog \r\n".encode())

    found = named_classes(["10", "20"], str(path))

    assert found == (
        ImageClass(id="10", names=("big cat",)),
        ImageClass(id="20", names=("small dog",)),
    )


def test_a_json_file_gives_names_by_class(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text(json.dumps({"b": ["bee", "honey bee"], "a": "ant", "c": ["of no class here"]}))

    found = named_classes(["a", "b"], str(path))

    assert [each.names for each in found] == [("ant",), ("bee", "honey bee")]
    assert found[1].title == "bee"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param("n.txt", "a\n", "there are 1 names, and the data set has 2", id="too few"),
        pytest.param("n.txt", "a\nb\nc\n", "there are 3 names, and the data set has 2", id="many"),
        pytest.param("n.txt", "a\n \n", r"n.txt:2: is blank", id="a blank line"),
        pytest.param("n.json", '{"x": ["ant"]}', "class `y` has no name", id="a class less"),
        pytest.param("n.json", '{"x": "a", "y": []}', "class `y` has no name", id="no names"),
        pytest.param("n.json", '{"x": "a", "y": [" "]}', "class `y` has no name", id="blank"),
        pytest.param("n.json", '["ant"]', "Expected `object`, got `array`", id="a list"),
        pytest.param("n.json", "ant", "is not JSON", id="no JSON"),
    ],
)
def test_a_broken_file_of_names_is_told(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(InputError, match=message):
        named_classes(["x", "y"], str(tmp_path / name))


def test_a_file_in_another_encoding_is_told_by_line(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes("ant\nBär\n".encode("latin1"))

    with pytest.raises(InputError, match=r"names.txt:2: is not UTF-8"):
        named_classes(["x", "y"], str(tmp_path / "names.txt"))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        named_classes(["x"], str(tmp_path / "names.txt"))


@pytest.mark.parametrize("id_", ["n00000001", "1000", "cat", "007"])
def test_a_class_that_imagenet_lacks_is_told(id_: str) -> None:
    with pytest.raises(InputError, match=f"`{id_}` is none of ImageNet's 1,000 classes"):
        named_classes([id_], "imagenet")


def test_numbers_and_synsets_are_not_mixed() -> None:
    with pytest.raises(InputError, match="`0` is none of ImageNet's 1,000 classes"):
        named_classes(["0", "n01440764"], "imagenet")
