import csv
import gzip
from pathlib import Path
from typing import Any

import pytest
from dataset_identity import identity_of
from published_forms import class_ids, files_below, labelled, names_of, write_image, write_text

from openalign.errors import InputError
from openalign.evaluate.datasets import checking
from openalign.evaluate.datasets.checking import SplitCount
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.kinds import kind_of
from openalign.evaluate.datasets.labels.class_table import KIND, ClassTableDataset
from openalign.evaluate.datasets.recognition import recognized
from openalign.evaluate.tasks.classification import neighbors

TABLE = (
    "image,class,split\n"
    "cats/1.jpg,tabby_cat,train\n"
    "dogs/1.jpg,dog,test\n"
    "cats/2.jpg,tabby_cat,test\n"
    "dogs/2.jpg,dog,train\n"
)
CATS_AND_DOGS = [("cats/1.jpg", 1), ("dogs/2.jpg", 0)]
"""What `train` holds, with the classes in sorted order."""


def write(folder: Path, text: str = TABLE, *, name: str = "classes.csv") -> Path:
    for image in ("cats/1.jpg", "dogs/1.jpg", "cats/2.jpg", "dogs/2.jpg"):
        write_image(folder / image)
    return write_text(folder / name, text)


def read(path: Path | str, **settings: Any) -> Dataset:
    return KIND.read(ClassTableDataset(path=str(path), **settings))


def test_rows_are_images_in_their_order_with_class_and_split(tmp_path: Path) -> None:
    found = read(write(tmp_path))

    assert [image.name for image in found.images] == [
        "cats/1.jpg",
        "dogs/1.jpg",
        "cats/2.jpg",
        "dogs/2.jpg",
    ]
    assert class_ids(found) == ["dog", "tabby_cat"]
    assert names_of(found) == [("dog",), ("tabby cat",)]
    assert labelled(found, "train") == CATS_AND_DOGS
    assert labelled(found, "test") == [("dogs/1.jpg", 0), ("cats/2.jpg", 1)]
    assert (found.test_split, found.train_split) == ("test", "train")
    assert files_below(str(tmp_path), found)
    assert found.images[0].place.read() == (tmp_path / "cats" / "1.jpg").read_bytes()


def test_it_is_read_as_the_csv_module_reads_it(tmp_path: Path) -> None:
    rows = [
        ("image", "note", "split", "class"),
        ('a "b", c.jpg', "two\nlines", "train", "spaniel, water"),
        ("\u00e9.jpg", "", "val", "caf\u00e9"),
        ("./d.jpg", "a,b", "Test", "spaniel, water"),
    ]
    for name, separator in (("a.csv", ","), ("a.tsv", "\t")):
        with (tmp_path / name).open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file, delimiter=separator).writerows(rows)

    as_csv, as_tsv = read(tmp_path / "a.csv"), read(tmp_path / "a.tsv")

    assert as_csv == as_tsv
    assert [(i.name, i.split, i.label) for i in as_csv.images] == [
        ('a "b", c.jpg', "train", 1),
        ("\u00e9.jpg", "val", 0),
        ("d.jpg", "Test", 1),
    ]
    assert class_ids(as_csv) == ["caf\u00e9", "spaniel, water"]
    assert (as_csv.test_split, as_csv.train_split) == ("Test", "train")


def test_a_packed_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(TABLE.encode()))

    assert read(tmp_path / "a.csv.gz").images == read(write(tmp_path)).images


def test_columns_have_the_names_that_settings_say(tmp_path: Path) -> None:
    path = write(tmp_path, "split,file_name,label\nb,cats/1.jpg,x\na,cats/2.jpg,x\n")

    found = read(path, image_column="file_name", class_column="label")

    assert labelled(found, "b") == [("cats/1.jpg", 0)]
    assert class_ids(found) == ["x"]
    assert (found.test_split, found.train_split) == ("b", "b")  # no name says more than the order


def test_all_images_are_test_where_no_column_tells_splits(tmp_path: Path) -> None:
    path = write(tmp_path, TABLE.replace("split", "fold"))

    found = read(path, split_column="")

    assert found.splits == ("test",)
    assert (found.test_split, found.train_split) == ("test", "test")


def test_images_may_lie_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "images")
    path = write_text(tmp_path / "lists" / "a.csv", TABLE)

    found = read(path, images=f"{tmp_path}/images")

    assert files_below(f"{tmp_path}/images", found)
    assert found.images[0].place.read()


def test_numbers_of_any_length_come_in_their_order(tmp_path: Path) -> None:
    ids = ["9" * 5_000, "10", "01", "1", "0", "00"]
    rows = "".join(f"{at}.jpg,{id_},test\n" for at, id_ in enumerate(ids))

    found = read(write(tmp_path, "image,class,split\n" + rows))

    assert class_ids(found) == ["0", "00", "01", "1", "10", "9" * 5_000]


def test_classes_that_are_numbers_come_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{number}.jpg,{number},test\n" for number in (10, 9, 100, 2))
    names = write_text(tmp_path / "names.txt", "two\nnine\nten\nhundred\n")

    path = write(tmp_path, "image,class,split\n" + rows)

    assert labelled(read(path), "test")[0] == ("10.jpg", 2)
    assert class_ids(read(path)) == ["2", "9", "10", "100"]
    assert names_of(read(path)) == [(), (), (), ()]
    assert names_of(read(path, class_names=str(names))) == [
        ("two",),
        ("nine",),
        ("ten",),
        ("hundred",),
    ]


def test_a_second_file_names_the_classes(tmp_path: Path) -> None:
    names = write_text(tmp_path / "n.json", '{"tabby_cat": ["cat", "tabby"], "dog": "dog"}')
    lacking = write_text(tmp_path / "l.json", '{"dog": "dog"}')
    path = write(tmp_path)

    assert names_of(read(path, class_names=str(names))) == [("dog",), ("cat", "tabby")]
    with pytest.raises(InputError, match=r"l\.json: class `tabby_cat` has no name"):
        read(path, class_names=str(lacking))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "a.csv:1: has no column `image`; it is empty", id="an empty file"),
        pytest.param("image,class,split\n", "a.csv: names no image", id="a header alone"),
        pytest.param(
            "image;class;split\n1.jpg;a;test\n",
            "a.csv:1: has no column `image`; its columns are image;class;split",
            id="semicolons",
        ),
        pytest.param(
            "image,label,split\n1.jpg,a,test\n",
            "a.csv:1: has no column `class`; its columns are image, label, split",
            id="a column that is called otherwise",
        ),
        pytest.param("image,class\n1.jpg,a\n", "a.csv:1: has no column `split`", id="no split"),
        pytest.param(
            "image,class,split,class\n1.jpg,a,test,b\n",
            "a.csv:1: has column `class` more than once",
            id="a column twice",
        ),
        pytest.param(f"{TABLE}3.jpg,dog\n", "a.csv:6: has 2 cells", id="a cell less"),
        pytest.param(f"{TABLE}3.jpg,dog,test,x\n", "a.csv:6: has 4 cells", id="a cell more"),
        pytest.param(f"{TABLE}3.jpg, ,test\n", "a.csv:6: `class` is empty", id="no class"),
        pytest.param(f"{TABLE}3.jpg,dog,\n", "a.csv:6: `split` is empty", id="an empty split"),
        pytest.param(f"{TABLE},dog,test\n", "a.csv:6: `image` is empty", id="no image"),
        pytest.param(f'{TABLE}"3.jpg,dog,test\n', "a.csv:6: is not CSV", id="an open quote"),
        pytest.param(
            f"{TABLE}../3.jpg,dog,test\n",
            "a.csv:6: `image` must stay inside the folder of images",
            id="outside the folder",
        ),
        pytest.param(
            f"{TABLE}/data/3.jpg,dog,test\n",
            "a.csv:6: `image` must be a path below the folder of images, got '/data/3.jpg'",
            id="an absolute path",
        ),
        pytest.param(
            f"{TABLE}https://a.example/3.jpg,dog,test\n",
            "a.csv:6: `image` must be a path below",
            id="a URL",
        ),
        pytest.param(
            f"{TABLE}./cats/1.jpg,dog,test\n",
            "a.csv:6: cats/1.jpg is in line 2 already, as `tabby_cat` of `train`",
            id="an image twice",
        ),
    ],
)
def test_a_broken_table_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text, name="a.csv")

    with pytest.raises(InputError) as caught:
        read(path)

    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_another_encoding_is_told_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TABLE.encode() + b"caf\xe9.jpg,dog,test\n")

    with pytest.raises(InputError, match=r"a\.csv:6: is not UTF-8: byte 0xe9"):
        read(tmp_path / "a.csv")


def test_a_table_says_by_its_name_what_divides_cells(tmp_path: Path) -> None:
    path = write(tmp_path, name="classes.txt")

    with pytest.raises(InputError, match="does not say whether it is CSV or TSV"):
        read(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"class_column": ""}, "class_column must be a column's name", id="no name"),
        pytest.param({"image_column": " a"}, "image_column must have no space around", id="space"),
        pytest.param({"class_column": "split"}, "must be different columns", id="one for two"),
    ],
)
def test_columns_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassTableDataset(path="a.csv", **settings)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "cats" / "2.jpg").unlink()

    [copy] = checking.check(str(path))

    assert copy.kind == "class_table"
    assert copy.problems == [f"1 of 4 images are not there:\n  {tmp_path}/cats/2.jpg"]
    assert copy.splits == [
        SplitCount(split="train", images=2, missing=0, captions=0, classes=2),
        SplitCount(split="test", images=2, missing=1, captions=0, classes=2),
    ]


def test_a_split_that_is_not_there_is_told_by_the_task(tmp_path: Path) -> None:
    task = neighbors.NeighborsTask(benchmark="mine", train_split="tarin")

    with pytest.raises(InputError, match="no image is in split `tarin`") as caught:
        neighbors.needs(task, read(write(tmp_path)))

    assert caught.value.hint == "splits are: train, test"


@pytest.mark.parametrize(
    ("name", "table", "split_column"),
    [
        pytest.param("classes.csv", TABLE, "split", id="CSV"),
        pytest.param("classes.tsv", TABLE.replace(",", "\t"), "split", id="TSV"),
        pytest.param("a.CSV", '"class","image"\ncat,1.jpg\n', "", id="without splits, in quotes"),
    ],
)
def test_it_is_recognized_by_its_columns(
    tmp_path: Path, name: str, table: str, split_column: str
) -> None:
    path = write(tmp_path, table, name=name)

    settings = ClassTableDataset(path=str(path), split_column=split_column)

    assert recognized("mine", str(path)) == {"mine": settings}


@pytest.mark.parametrize("split", ["", "split", "Split"])
@pytest.mark.parametrize(
    "names",
    [("Image", "CLASS"), ("filename", "label"), ("File_Path", "Target"), ("path", "category")],
    ids=",".join,
)
def test_columns_called_otherwise_are_recognized(
    tmp_path: Path, names: tuple[str, str], split: str
) -> None:
    image, class_ = names
    header = ",".join([image, class_, *([split] if split else [])])
    end = ",test" if split else ""
    path = write(tmp_path, f"{header}\ncats/1.jpg,cat{end}\ndogs/1.jpg,dog{end}\n")

    ((_, settings),) = recognized("mine", str(path)).items()

    assert settings == ClassTableDataset(
        path=str(path), image_column=image, class_column=class_, split_column=split
    )
    assert labelled(kind_of(settings).read(settings), "test") == [
        ("cats/1.jpg", 0),
        ("dogs/1.jpg", 1),
    ]


def test_a_packed_one_and_the_only_one_in_a_folder_are_recognized(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(TABLE.encode()))

    settings = ClassTableDataset(path=f"{tmp_path}/a.csv.gz")

    assert recognized("mine", str(tmp_path)) == {"mine": settings}
    assert recognized("mine", f"{tmp_path}/a.csv.gz") == {"mine": settings}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("image,caption\n1.jpg,a cat\n", id="captions"),
        pytest.param("image_name,comment_number,comment\n1.jpg,0,a cat\n", id="Kaggle's captions"),
        pytest.param("filename,caption,label\n1.jpg,a cat,cat\n", id="captions and labels"),
        pytest.param("", id="nothing"),
    ],
)
def test_other_tables_are_not_recognized(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text, name="a.csv")

    assert KIND.recognize("mine", str(path)) is None


def test_its_identity_is_in_its_rows_and_not_in_its_place(tmp_path: Path) -> None:
    first, moved = write(tmp_path / "a"), write(tmp_path / "b" / "c", name="other.csv")
    other = write(tmp_path / "d", TABLE.replace("cats/2.jpg,tabby_cat", "cats/2.jpg,dog"))

    def identity(path: Path) -> str:
        return identity_of(KIND, ClassTableDataset(path=str(path)))

    assert identity(first) == identity(moved)
    assert identity(first) != identity(other)
