"""`openalign datasets` and `openalign datasets check PATH`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from by_flags import said

from openalign import cli
from openalign.evaluate.datasets import kinds
from openalign.run.verbs import data_set_forms


def test_datasets_lists_each_form_with_its_names_and_its_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["datasets"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("openalign datasets KIND says more")
    lines = lines[:-2]
    in_one_line = " ".join(" ".join(lines).split())
    assert "with the usual splits (docs/datasets.md) flickr30k, mscoco, flickr8k" in in_one_line
    assert {line.split()[0] for line in lines if line[0] != " "} == set(kinds.KINDS)
    assert max(map(len, lines)) <= 100
    words = {word.strip(",") for line in lines for word in line.split()}
    assert {name for kind in kinds.KINDS.values() for name in kind.names} <= words  # none is cut


@pytest.mark.parametrize("name", ["karpathy", "mscoco"])
def test_a_kind_or_a_published_name_is_shown_with_what_to_type(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert cli.main(["datasets", name]) == 0

    shown = capsys.readouterr().out
    assert "karpathy: Karpathy's JSON: " in shown
    assert "Published in this form: flickr30k, mscoco, flickr8k\n" in shown
    assert "Measured on it: retrieval\n" in shown
    assert "\nbenchmarks.NAME.images, of the kind karpathy\n" in shown
    assert "\nopenalign evaluate --model FOLDER --data " in shown


@pytest.mark.parametrize("name", data_set_forms.names())
def test_every_kind_and_every_published_name_can_be_shown(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert cli.main(["datasets", name]) == 0
    assert "\nopenalign datasets check PATH --kind " in capsys.readouterr().out


def test_a_kind_with_a_typo_gets_the_one_that_was_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["datasets", "karpaty"])
    assert "hint: did you mean `karpathy`?" in capsys.readouterr().err


def test_a_check_is_printed_as_json_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("squares/red.png").unlink()

    assert cli.main(["datasets", "check", "squares/dataset.json", "--json"]) == 2

    said = capsys.readouterr()
    [copy] = json.loads(said.out)
    assert copy["kind"] == "karpathy"
    assert copy["splits"] == [
        {"split": "test", "images": 5, "missing": 1, "captions": 10, "classes": 0},
        {"split": "train", "images": 2, "missing": 0, "captions": 4, "classes": 0},
        {"split": "val", "images": 1, "missing": 0, "captions": 2, "classes": 0},
    ]
    assert copy["problems"] == ["1 of 8 images are not there:\n  squares/red.png"]
    assert "error: 1 of 8 images are not there" in said.err


def test_a_folder_of_images_alone_is_told_what_it_lacks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos").mkdir()
    Path("squares/red.png").rename("photos/red.png")

    error = said(capsys, "datasets", "check", "photos", code=2)

    assert "photos is of no form that is known: it holds the images red.png" in error
    assert "openalign datasets class_table" in error
    assert "name that file: openalign datasets check FILE.json --images photos. To search" in error
    assert "as they are: openalign evaluate --model FOLDER --data images=photos. To train" in error
    assert "openalign init NAME photos" in error


def test_a_whole_copy_is_counted_split_by_split(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["datasets", "check", "squares/dataset.json"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("karpathy: ")
    assert [line.split() for line in lines[2:-1]] == [
        ["split", "images", "missing", "captions", "classes"],
        ["test", "5", "0", "10", "0"],
        ["train", "2", "0", "4", "0"],
        ["val", "1", "0", "2", "0"],
    ]


def test_images_that_a_copy_lacks_are_counted_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for color in ("red", "green", "blue", "yellow", "black", "gray"):
        Path(f"squares/{color}.png").unlink()

    assert cli.main(["datasets", "check", "squares/dataset.json"]) == 2

    said = capsys.readouterr()
    assert "error: 6 of 8 images are not there:\n  squares/red.png\n" in said.err
    assert "  and 1 more" in said.err
    assert ["test", "5", "4", "10", "0"] in [line.split() for line in said.out.splitlines()]


def test_a_copy_of_another_size_than_the_published_one_is_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"flickr8k": {"test": 5, "train": 3, "dev": 1}}
    kind = replace(kinds.KINDS["karpathy"], sizes=sizes)
    monkeypatch.setitem(kinds.KINDS, "karpathy", kind)
    check = ["datasets", "check", "squares/dataset.json"]

    assert cli.main(check) == 0
    assert cli.main([*check, "--kind", "flickr8k"]) == 2

    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "error: split `train` has 2 images, 3 were published",
        "split `dev` has 0 images, 1 were published",
    ]
    assert "flickr8k, karpathy: " in said.out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        pytest.param(["squares", "--kind", "flickr3k"], "did you mean `flickr30k`?", id="no kind"),
        pytest.param(["elsewhere"], "there is nothing at elsewhere", id="no path"),
        pytest.param(["squares/composed.json"], "is of no form that is known", id="no form"),
    ],
)
def test_a_check_of_what_is_no_data_set_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    assert error in said(capsys, "datasets", "check", *words, code=2)
