"""What people are told of a path that is of no known form, and of what a reader left out."""

import json
from pathlib import Path

import pytest

from openalign import cli
from openalign.errors import InputError
from openalign.evaluate.datasets import checking
from openalign.evaluate.datasets.recognition import recognized


def test_a_folder_of_another_layer_is_refused_by_what_it_holds(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png", "d.png"):
        (tmp_path / name).write_bytes(b"")

    with pytest.raises(InputError, match=r"known: it holds the images a.png, b.png, c.png and 1 m"):
        recognized("mine", str(tmp_path))

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "list.txt").write_text("a")
    held = "it holds the folders one, two, the images a.png, b.png, c.png and 1 more, the files l"
    with pytest.raises(InputError, match=held):
        recognized("mine", str(tmp_path))


def test_an_empty_folder_and_a_strange_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.json").write_text('{"images":[]}')
    (tmp_path / "blank.json").write_text("")

    for name, held in (
        ("empty", "known: it holds nothing"),
        ("none.json", """known: it is a file that begins with '{"images":\\[]}'"""),
        ("blank.json", "known: it is an empty file"),
    ):
        with pytest.raises(InputError, match=held):
            recognized("mine", str(tmp_path / name))
    with pytest.raises(InputError, match=r"of the forms of `coco`: .*; it holds nothing"):
        recognized("coco", str(tmp_path / "empty"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_caption_file_in_utf_16_is_called_so(tmp_path: Path, encoding: str) -> None:
    text = "image,caption\na.jpg,a café\n"
    mark = "" if encoding == "utf-16" else "\ufeff"
    (tmp_path / "captions.csv").write_bytes((mark + text).encode(encoding))

    for name in ("mine", "flickr8k"):
        with pytest.raises(InputError, match="is not UTF-8: it begins with the mark of UTF") as got:
            recognized(name, str(tmp_path / "captions.csv"))
        assert "iconv -f utf-16 -t utf-8" in (got.value.hint or "")


def test_captions_that_a_reader_left_out_are_said_by_a_check(
    benchmark_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = benchmark_folder / "dataset.json"
    content = json.loads(path.read_text())
    content["images"][1]["sentences"].append({"raw": " \t"})
    path.write_text(json.dumps(content))

    (copy,) = checking.check(str(path))
    code = cli.main(["datasets", "check", str(path)])

    said = f"{path}: blank captions, left out: 1 (green.png)"
    assert copy.notes == (said,)
    assert code == 0
    assert capsys.readouterr().out.endswith(f"\n\n{said}\n\n")
