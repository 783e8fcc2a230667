"""`openalign datasets check` with what the path does not tell."""

import shutil
from pathlib import Path

import pytest
from published_forms import write_image

from openalign import cli
from openalign.errors import ConfigError, InputError
from openalign.evaluate.datasets import checking
from openalign.evaluate.datasets.captions import flickr
from openalign.evaluate.datasets.captions.flickr import FlickrDataset
from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset, EditQuery
from openalign.evaluate.datasets.ratings.cxc_ratings import CxcDataset, RatedPair
from openalign.evaluate.plan import missing_images


def counts(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """Return the printed numbers of images, missing images and captions, by split."""
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[3:] if line]
    return {split: numbers[:3] for split, *numbers in rows}


def test_images_that_lie_elsewhere_are_looked_for_there(
    benchmark_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["datasets", "check", f"{benchmark_folder}/dataset.json"]
    elsewhere = tmp_path / "my: images #1"  # YAML would read another name
    shutil.move(benchmark_folder / "images", elsewhere)

    assert cli.main(check) == 2
    said = capsys.readouterr()
    assert "error: 8 of 8 images are not there:" in said.err
    assert "hint: if the images lie elsewhere, name their folder: --images FOLDER" in said.err
    assert cli.main([*check, "--images", str(elsewhere)]) == 0
    assert counts(capsys)["test"] == ["5", "0", "10"]


@pytest.mark.parametrize(
    ("said", "there"),
    [("caf\u00e9.png", "cafe\u0301.png"), ("e\u0301t\u00e9/a.png", "\u00e9t\u00e9/a.png")],
    ids=["a file", "a folder"],
)
def test_a_name_that_only_looks_the_same_is_told(tmp_path: Path, said: str, there: str) -> None:
    (tmp_path / "a.csv").write_text(f"image,caption\n{said},a dog\n")
    write_image(tmp_path / there)

    (copy,) = checking.check(f"{tmp_path}/a.csv")
    dataset = flickr.read(FlickrDataset(path=f"{tmp_path}/a.csv"))
    with pytest.raises(InputError, match="lacks all of the 1 images") as caught:
        missing_images("b", dataset.images)

    assert copy.hint.startswith(f"{tmp_path / there} is there, and looks the same")
    assert caught.value.hint == copy.hint


def test_other_settings_of_the_kind_are_told_too(
    benchmark_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["datasets", "check", f"{benchmark_folder}/dataset.json", "--images"]
    check.append(f"{benchmark_folder}/images")

    assert cli.main([*check, "--set", "max_captions=1"]) == 0

    assert counts(capsys)["test"] == ["5", "0", "5"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("imges=there", "data sets of the kind `karpathy` have no setting `imges`"),
        ("kind=coco", "data sets of the kind `karpathy` have no setting `kind`"),
        ("max_captions=none", "--set max_captions: `max_captions` must be"),
        ("images", "--set images: must be KEY=VALUE"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    benchmark_folder: Path, change: str, error: str
) -> None:
    with pytest.raises(ConfigError, match=error):
        checking.check(f"{benchmark_folder}/dataset.json", changes=[change])


def test_a_kind_whose_images_lie_beside_gives_no_such_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "dtd"
    for split in ("train", "val", "test"):
        (folder / "labels").mkdir(parents=True, exist_ok=True)
        (folder / "labels" / f"{split}1.txt").write_text(f"banded/{split}.jpg\n")
    (folder / "images" / "banded").mkdir(parents=True)

    assert cli.main(["datasets", "check", str(folder)]) == 2
    assert "--images" not in capsys.readouterr().err
    assert cli.main(["datasets", "check", str(folder), "--images", "there"]) == 2
    assert "have no setting `images`" in capsys.readouterr().err


def test_pairs_of_words_are_counted_in_place_of_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "word1 word2 POS SimLex999 conc(w1) conc(w2) concQ Assoc(USF) SimAssoc333 SD(SimLex)"
    row = "old new A 1.58 2.72 2.81 2 7.25 1 0.41"
    text = "".join("\t".join(line.split()) + "\n" for line in (header, row))
    (tmp_path / "SimLex-999.txt").write_text(text)

    assert cli.main(["datasets", "check", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["", "1 pairs of words", ""]


def test_ratings_and_queries_are_counted() -> None:
    pair = RatedPair(first=0, second=1, score=3.0, method="")
    rated = CxcDataset(
        images=[], image_pairs=[pair], caption_image_pairs=[pair] * 2, caption_pairs=[pair] * 1_000
    )
    query = EditQuery(id="1", reference=0, target=1, captions=("redder",))

    assert [each.split()[0] for each in rated.beside_images] == ["1", "2", "1,000"]
    composed = ComposedDataset(images=[], queries=[query] * 3, galleries={})
    assert composed.beside_images == ("3 queries",)
