"""`openalign datasets` and `openalign datasets check PATH`."""

from dataclasses import replace
from pathlib import Path

import pytest
from by_flags import said

from openalign import cli
from openalign.evaluate.datasets import kinds


def test_datasets_lists_each_form_with_its_names_and_its_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["datasets"]) == 0

    lines = capsys.readouterr().out.splitlines()
    in_one_line = " ".join(" ".join(lines).split())
    assert "with the usual splits (docs/datasets.md) flickr30k, mscoco, flickr8k" in in_one_line
    assert {line.split()[0] for line in lines if line[0] != " "} == set(kinds.KINDS)
    assert max(map(len, lines)) <= 100
    words = {word.strip(",") for line in lines for word in line.split()}
    assert {name for kind in kinds.KINDS.values() for name in kind.names} <= words  # none is cut


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
