import json
from pathlib import Path
from typing import Any

import pytest
from dataset_identity import identity_of
from miniature_images import ODD_IMAGES, write_images

from openalign.errors import InputError
from openalign.evaluate.datasets.captions.flickr import KIND, FlickrDataset
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.reading.image_folders import IMAGE_SUFFIXES
from openalign.evaluate.datasets.recognition import recognized

TOKEN = (
    "12.jpg#0\tA dog runs , fast .\n"
    "12.jpg#1\tTwo men | one ball .\n"
    "7.jpg#0\tA child in a pink dress .\n"
    "7.jpg#1\t.\n"
)
PIPED = (
    "image_name| comment_number| comment\n"
    "12.jpg| 0| A dog runs , fast .\n"
    "12.jpg| 1   Two men | one ball .\n"  # without its second pipe, as a row of Kaggle's file
    "7.jpg| 0| A child in a pink dress .\n"
    "7.jpg| 1| .\n"
)
NUMBERED = (
    "image_name,comment_number,comment\n"
    '12.jpg,0, "A dog runs , fast ."\n'
    "12.jpg,1, Two men | one ball .\n"
    "7.jpg,0, A child in a pink dress .\n"
    "7.jpg,1, .\n"
)
PLAIN = (
    "image,caption\n"
    "12.jpg,A dog runs , fast .\n"
    "12.jpg,Two men | one ball .\n"
    "7.jpg,A child in a pink dress .\n"
    "7.jpg,.\n"
)
ROWS = (
    "raw,sentids,split,filename,img_id\n"
    '"[""A dog runs , fast ."", ""Two men | one ball .""]","[0, 1]",test,12.jpg,0\n'
    '"[""A child in a pink dress ."", "".""]","[5, 6]",train,7.jpg,1\n'
)
FORMS = {
    "results_20130124.token": TOKEN,
    "results.csv": PIPED,
    "captions.txt": NUMBERED,
    "flickr30k_test_karpathy.txt": PLAIN,
    "flickr_annotations_30k.csv": ROWS,
}


def read(path: Path | str, **settings: Any) -> Dataset:
    return KIND.read(FlickrDataset(path=str(path), **settings))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_says_the_same(tmp_path: Path, name: str, mark: str, end: str) -> None:
    path = tmp_path / name
    path.write_text(mark + FORMS[name], newline=end)

    dog, child = read(path).images

    assert (dog.name, child.name) == ("12.jpg", "7.jpg")
    assert dog.captions == ("A dog runs , fast .", "Two men | one ball .")
    assert child.captions == ("A child in a pink dress .", ".")


@pytest.mark.parametrize("header", ["Image,Caption", '"image","text"', "filepath, TITLE "])
def test_a_second_column_called_like_captions_is_one(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(PLAIN.replace("image,caption", header))

    assert read(tmp_path / "a.csv").images[1].captions == ("A child in a pink dress .", ".")
    assert recognized("mine", f"{tmp_path}/a.csv")["mine"].kind == "flickr"


@pytest.mark.parametrize("header", ["image,tag", "image,score", "12.jpg,A dog runs"])
def test_a_second_column_called_otherwise_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(PLAIN.replace("image,caption", header))

    with pytest.raises(InputError, match=r"a\.csv:1: is of no form of Fl") as by_kind:
        read(path)
    with pytest.raises(InputError, match=r"a\.csv is of no form that is known") as by_path:
        recognized("mine", str(path))

    assert "for `caption` it may say captions, comment, sentence, text" in str(by_kind.value.hint)
    assert "class, class_name, " in str(by_path.value.hint)
    assert "of caption, captions, comment, sentence, text" in str(by_path.value.hint)


@pytest.mark.parametrize("ending", IMAGE_SUFFIXES)
def test_every_ending_of_an_image_that_is_read_is_one(tmp_path: Path, ending: str) -> None:
    (tmp_path / "a.csv").write_text(f"image,caption\n1{ending},a dog, fast\n")

    (image,) = read(tmp_path / "a.csv").images

    assert (image.name, image.captions) == (f"1{ending}", ("a dog, fast",))


@pytest.mark.parametrize("number", ["", "0,"])
def test_a_name_in_quotes_holds_commas(tmp_path: Path, number: str) -> None:
    header = "image_name,comment_number,comment" if number else "image,caption"
    line = f'"red, ""big"".jpg",{number}a dog, fast'
    (tmp_path / "a.csv").write_text(f"{header}\n{line}\n")
    write_images(tmp_path / "images", 'red, "big".jpg')

    (image,) = read(tmp_path / "a.csv").images

    assert (image.name, image.captions) == ('red, "big".jpg', ("a dog, fast",))
    assert image.place.read() == ODD_IMAGES["gray.jpg"]


def test_a_token_and_a_sentid_are_a_captions_id(tmp_path: Path) -> None:
    (tmp_path / "a.token").write_text(TOKEN)
    (tmp_path / "a.csv").write_text(ROWS)

    assert read(tmp_path / "a.token").images[1].caption_ids == ("7.jpg#0", "7.jpg#1")
    assert read(tmp_path / "a.csv").images[1].caption_ids == ("5", "6")


def test_only_the_first_captions_count(tmp_path: Path) -> None:
    seven = "".join(f"12.jpg#{n}\tcaption {n}\n" for n in range(7))
    (tmp_path / "a.token").write_text(seven)

    assert read(tmp_path / "a.token").images[0].captions == tuple(f"caption {n}" for n in range(5))
    assert len(read(tmp_path / "a.token", max_captions="all").images[0].captions) == 7


@pytest.mark.parametrize(
    ("name", "test_split"),
    [("results.csv", "test"), ("flickr30k_val_karpathy.txt", "val")],
)
def test_images_are_in_the_split_of_the_files_name(
    tmp_path: Path, name: str, test_split: str
) -> None:
    (tmp_path / name).write_text(PLAIN)

    dataset = read(tmp_path / name)

    assert dataset.splits == (test_split,)
    assert dataset.test_split == test_split


def test_the_hubs_form_tells_each_images_split(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)

    assert [image.split for image in read(tmp_path / "a.csv").images] == ["test", "train"]
    with pytest.raises(InputError, match=r"a\.csv: tells the split of 12\.jpg itself"):
        read(tmp_path / "a.csv", splits=f"{tmp_path}/dataset.json")


@pytest.mark.parametrize(
    "splits", ["dataset_flickr30k.json", "with extension", "without extension"]
)
def test_others_lists_tell_the_splits(tmp_path: Path, splits: str) -> None:
    (tmp_path / "a.token").write_text(TOKEN + "99.jpg#0\tin no split\n")
    if splits.endswith(".json"):
        images = [{"filename": "7.jpg", "split": "val"}, {"filename": "12.jpg", "split": "test"}]
        (tmp_path / splits).write_text(json.dumps({"images": images}))
    else:
        end = ".jpg" if splits == "with extension" else ""
        (tmp_path / splits).mkdir()
        (tmp_path / splits / "val.txt").write_text(f"7{end}\n")
        (tmp_path / splits / "Flickr_8k.testImages.txt").write_text(f"12{end}\r\n\r\n")
        (tmp_path / splits / "readme.txt").write_text("of no split")

    dataset = read(tmp_path / "a.token", splits=f"{tmp_path}/{splits}")

    assert [(i.name, i.split) for i in dataset.images] == [("12.jpg", "test"), ("7.jpg", "val")]
    (note,) = dataset.notes
    assert note == f"{tmp_path}/a.token: images in no split of {tmp_path}/{splits}: 1"


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        pytest.param({}, "lists: tells no splits", id="no lists"),
        pytest.param({"a.txt": "7\n"}, "lists: tells no splits", id="a list of no split"),
        pytest.param(
            {"val.txt": "7\n", "test.txt": "12\n7\n"},
            r"val\.txt: 7 is in split `test` and in `val`",
            id="two splits",
        ),
        pytest.param(
            {"test.txt": "12\n8\n"}, r"a\.token: has no caption of 8, which", id="too much"
        ),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    tmp_path: Path, lists: dict[str, str], message: str
) -> None:
    (tmp_path / "a.token").write_text(TOKEN)
    (tmp_path / "lists").mkdir()
    for name, content in lists.items():
        (tmp_path / "lists" / name).write_text(content)

    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.token", splits=f"{tmp_path}/lists")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "a.csv:1: is of no form", id="empty"),
        pytest.param("image,caption\n", "a.csv:1: is of no form", id="a header alone"),
        pytest.param(PIPED.partition("\n")[0], "a.csv: has no captions", id="pipes, but no line"),
        pytest.param(
            TOKEN + "12.jpg\tno number\n", "a.csv:5: is not of the first", id="a bad token"
        ),
        pytest.param(PIPED + "12.jpg\n", "a.csv:6: is not of the first", id="no pipe at all"),
        pytest.param(PLAIN + "A dog\n", "a.csv:6: is not of the first", id="no image"),
        pytest.param(
            PLAIN + "../12.jpg,A dog\n", "a.csv:6: the image must stay inside", id="outside"
        ),
        pytest.param(
            ROWS + "[],[]\n", "a.csv:4: has 2 cells, the first row has 5", id="too few cells"
        ),
        pytest.param(ROWS + "a,[],test,9.jpg,1\n", "a.csv:4: `raw` and `sentids`", id="no JSON"),
        pytest.param(ROWS + "[],[1],test,9.jpg,1\n", "a.csv:4: has 0 captions and 1", id="unequal"),
        pytest.param(ROWS + '"[""a""]",[1],,9.jpg,1\n', "a.csv:4: has no `split`", id="no split"),
        pytest.param(
            ROWS + '"[""a""]",[1],test,7.jpg,1\n', "row 2: 7.jpg is row 1 too", id="twice"
        ),
        pytest.param(ROWS + '"[""a""]" x,[1],test,9.jpg,1\n', "a.csv:4: is not CSV", id="no CSV"),
    ],
)
def test_an_error_names_the_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(content)

    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.csv")


def test_a_blank_caption_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(PIPED + "7.jpg| 2| \n")

    dataset = read(tmp_path / "a.csv")

    assert dataset.images[1].captions == ("A child in a pink dress .", ".")
    assert dataset.notes == (f"{tmp_path}/a.csv: blank captions, left out: 1 (7.jpg)",)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("place", ["", "flickr30k_images", "../flickr30k-images"])
def test_images_are_found_near_the_file(tmp_path: Path, name: str, place: str) -> None:
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / name).write_text(FORMS[name])
    write_images(folder / place, "12.jpg")

    assert read(folder / name).images[0].place.read() == ODD_IMAGES["gray.jpg"]


@pytest.mark.parametrize("name", FORMS)
def test_a_file_is_recognized_by_its_first_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "anything").write_text(FORMS[name])
    (tmp_path / "folder").mkdir()

    found = KIND.recognize("flickr30k", f"{tmp_path}/anything")

    assert found == FlickrDataset(path=f"{tmp_path}/anything")
    assert KIND.recognize("flickr30k", f"{tmp_path}/folder") is None


@pytest.mark.parametrize("text", ["", "a,b\nc,d\n", '{"images": []}', "word1\tword2\tPOS\n"])
def test_another_file_is_not_recognized(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)

    assert KIND.recognize("flickr30k", f"{tmp_path}/a") is None


def test_a_token_file_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="needs torchvision")
    (tmp_path / "a.token").write_text(TOKEN)
    write_images(tmp_path, "12.jpg", "7.jpg")

    theirs = datasets.Flickr30k(str(tmp_path), f"{tmp_path}/a.token")

    ours = {image.name: list(image.captions) for image in read(tmp_path / "a.token").images}
    assert ours == {name: theirs[number][1] for number, name in enumerate(theirs.ids)}


def test_a_plain_file_is_read_as_clip_benchmark_reads_it(tmp_path: Path) -> None:
    flickr = pytest.importorskip("clip_benchmark.datasets.flickr", reason="needs clip_benchmark")
    (tmp_path / "a.txt").write_text(PLAIN)
    write_images(tmp_path, "12.jpg", "7.jpg")

    theirs = flickr.Flickr(str(tmp_path), f"{tmp_path}/a.txt")

    ours = [(image.name, list(image.captions)) for image in read(tmp_path / "a.txt").images]
    assert ours == theirs.data


def test_its_fingerprint_is_that_of_what_it_holds(tmp_path: Path) -> None:
    found: list[str] = []
    for folder, split in (("a", "test"), ("b", "test"), ("c", "val")):
        (tmp_path / folder / "lists").mkdir(parents=True)
        (tmp_path / folder / "a.token").write_text(TOKEN)
        (tmp_path / folder / "lists" / f"{split}.txt").write_text("12\n7\n")
        (tmp_path / folder / "lists" / "train.txt").write_text("" if split == "test" else " ")
        write_images(tmp_path / folder, "12.jpg", "7.jpg")
        settings = FlickrDataset(
            path=f"{tmp_path}/{folder}/a.token", splits=f"{tmp_path}/{folder}/lists"
        )
        found.append(identity_of(KIND, settings))

    assert found[0] == found[1]
    assert found[0] != found[2]
