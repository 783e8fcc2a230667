from pathlib import Path

import numpy as np
import pytest
from embedded import random_rows

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.tasks.classification import zero_shot_prompts
from openalign.evaluate.tasks.classification.zero_shot import ZeroShotTask
from openalign.evaluate.tasks.classification.zero_shot_prompts import (
    class_rows,
    fingerprint,
    prompts_of,
    templates_for,
)

CAT = ImageClass(id="7", names=("cat", "tabby"))
DOG = ImageClass(id="8", names=("dog",))
KNOWN = {"pets": ("a photo of a {}, a pet.",), "plain": ("{}", "the {}")}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lists are known, whatever libraries are installed."""

    def templates_of(name: str) -> tuple[str, ...]:
        if name not in KNOWN:
            raise InputError(f"no list {name}", hint="known lists are pets, plain")
        return KNOWN[name]

    monkeypatch.setattr(zero_shot_prompts, "templates_of", templates_of)


def task(templates: str | tuple[str, ...] = "auto", benchmark: str = "pets") -> ZeroShotTask:
    return ZeroShotTask(benchmark=benchmark, templates=templates)


def templates(of: ZeroShotTask, *own: str) -> tuple[tuple[str, ...], str]:
    found = templates_for(of, Dataset(images=[], templates=own))
    return found.texts, found.source


def test_each_name_of_a_class_is_put_into_each_template() -> None:
    assert prompts_of([CAT, DOG], ["a {}.", "my {}, the {}"]) == [
        "a cat.",
        "my cat, the cat",
        "a tabby.",
        "my tabby, the tabby",
        "a dog.",
        "my dog, the dog",
    ]


def test_a_name_with_braces_is_a_name() -> None:
    braces = ImageClass(id="1", names=("{c} {}",))

    assert prompts_of([braces], ["a {}."]) == ["a {c} {}."]


def test_a_class_is_the_mean_of_its_prompts_scaled_to_length_one() -> None:
    rows = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)

    found = class_rows(rows, [CAT, DOG], 1)

    # The cat's two names give (1, 0) and (0, 1); their mean is (1/2, 1/2), of length 1 / sqrt 2.
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5], [0.6, 0.8]], atol=1e-7)


def test_many_classes_get_the_means_of_their_own_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero_shot_prompts, "_CLASSES_A_THREAD", 2)
    classes = [
        ImageClass(id=str(at), names=(f"{at}", f"the {at}")[: 1 + at % 2]) for at in range(7)
    ]
    rows = np.array(random_rows(3 * 10, 4, seed=3), dtype=np.float32)  # 10 names, 3 templates

    found = class_rows(rows, classes, 3)

    begin = 0
    for each, row in zip(classes, found, strict=True):
        prompts = rows[begin : begin + 3 * len(each.names)].astype(float)
        begin += len(prompts)
        mean = prompts.mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)


def test_every_prompt_of_a_class_weighs_the_same() -> None:
    rows = np.array([[1, 0]] * 3 + [[0, 1]], dtype=np.float32)

    found = class_rows(rows, [CAT], 2)  # two names in two templates

    np.testing.assert_allclose(found, [[3 / 10**0.5, 1 / 10**0.5]], atol=1e-7)


def test_classes_of_the_same_names_share_their_prompts() -> None:
    other = ImageClass(id="9", names=("dog", " dog "))
    rows = np.array([[0, 1], [1, 0]], dtype=np.float32)

    assert prompts_of([DOG, ImageClass(id="1", names=("fox",)), other], ["{}"]) == ["dog", "fox"]
    found = class_rows(rows, [DOG, ImageClass(id="1", names=("fox",)), other], 1)
    assert found.tolist() == [[0, 1], [1, 0], [0, 1]]


def test_auto_takes_the_data_sets_own_then_the_list_of_its_name_then_a_plain_one() -> None:
    assert templates(task(), "own {}") == (("own {}",), "the data set's own")
    assert templates(task()) == (KNOWN["pets"], "the list known for `pets`")
    assert templates(task(benchmark="mine")) == (
        ("a photo of a {}.",),
        "one plain template, because no list is known for `mine`",
    )


def test_a_list_a_file_and_the_templates_themselves_go_before_the_data_sets_own(
    tmp_path: Path,
) -> None:
    file = tmp_path / "templates.txt"
    file.write_bytes("\ufeffein {}.\r\n\r\n  das {}\r\n".encode())

    assert templates(task("plain"), "own {}") == (("{}", "the {}"), "the list `plain`")
    assert templates(task(str(file)), "own {}") == (("ein {}.", "das {}"), "a file")
    assert templates(task(("a {}",)), "own {}") == (("a {}",), "the settings")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("a {}\na cat\n", r"templates.txt:2: 'a cat' has no `{}`", id="no place"),
        pytest.param("\n \n", "templates.txt: holds no template", id="blank"),
    ],
)
def test_a_file_of_another_form_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "templates.txt").write_text(content)

    with pytest.raises(InputError, match=message):
        templates(task(f"{tmp_path}/templates.txt"))


def test_other_templates_without_a_place_for_the_name_are_refused() -> None:
    with pytest.raises(InputError, match="task on `pets`: 'a cat' has no"):
        templates(task(("a {}", "a cat")))
    with pytest.raises(InputError, match="benchmark `pets`: 'own' has no"):
        templates(task(), "own")


def test_what_is_no_list_and_no_file_is_refused() -> None:
    with pytest.raises(InputError, match="`imagenot` is neither a known list nor a file") as error:
        templates(task("imagenot"))
    assert error.value.hint == "known lists are pets, plain"


def test_the_content_of_templates_counts_and_their_place_does_not(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("{}\nthe {}\n")

    found = {fingerprint(task(where)) for where in (f"{tmp_path}/one.txt", f"{tmp_path}/two.txt")}

    assert found == {fingerprint(task("plain"))} == {fingerprint(task(("{}", "the {}")))}
    assert fingerprint(task(("{}",))) not in found
