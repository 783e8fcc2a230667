import gc
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest
from dataset_identity import identity_of
from miniature_images import ODD_IMAGES, encoded
from webdataset import tariterators, writer

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.webdataset import (
    CAPTIONED_KIND,
    LABELLED_KIND,
    CaptionedTars,
    LabelledTars,
)
from openalign.files import storage

GRAY, CMYK, PNG = ODD_IMAGES.values()
WEBP = encoded("green", form="WEBP")

Sample = Mapping[str, Any]
LABELLED: Sequence[Sample] = (
    {"__key__": "s0000000", "webp": WEBP, "cls": 1},
    {"__key__": "s0000001", "jpg": GRAY, "cls": 0},
    {"__key__": "s0000002", "jpeg": CMYK, "cls": 1},
)
CAPTIONED: Sequence[Sample] = (
    {"__key__": "s0000000", "png": PNG, "txt": "A dog, fast\nEin Hund\u2028läuft\n犬\\nwalks"},
    {"__key__": "s0000001", "webp": WEBP, "txt": "\n".join(f"caption {n}" for n in range(7))},
)


def write_tar(path: Path, samples: Sequence[Sample]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with writer.TarWriter(str(path)) as sink:
        for sample in samples:
            sink.write(dict(sample))


def write_labelled(root: Path) -> str:
    write_tar(root / "test" / "0.tar", LABELLED[:2])
    write_tar(root / "test" / "1.tar", LABELLED[2:])
    write_tar(root / "train" / "0.tar", LABELLED[:1])
    (root / "test" / "nshards.txt").write_text("2\n")
    (root / "train" / "nshards.txt").write_text("1\n")
    (root / "classnames.txt").write_text("tench\ngold fish \n")
    (root / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\n{c}\n")
    return str(root)


def write_captioned(root: Path) -> str:
    write_tar(root / "test" / "0.tar", CAPTIONED)
    (root / "test" / "nshards.txt").write_text("1\n")
    (root / "dataset_type.txt").write_text("retrieval\n")
    return str(root)


def read_labelled(root: str | Path) -> Dataset:
    return LABELLED_KIND.read(LabelledTars(path=str(root)))


def read_captioned(root: str | Path, **settings: Any) -> Dataset:
    return CAPTIONED_KIND.read(CaptionedTars(path=str(root), **settings))


def test_images_come_with_class_and_split_in_the_order_of_the_tars(tmp_path: Path) -> None:
    dataset = read_labelled(write_labelled(tmp_path))

    assert [(image.name, image.split, image.label) for image in dataset.images] == [
        ("test/0.tar/s0000000.webp", "test", 1),
        ("test/0.tar/s0000001.jpg", "test", 0),
        ("test/1.tar/s0000002.jpeg", "test", 1),
        ("train/0.tar/s0000000.webp", "train", 1),
    ]
    assert [image.place.read() for image in dataset.images] == [WEBP, GRAY, CMYK, WEBP]
    assert dataset.images[2].place.file == f"{tmp_path}/test/1.tar"


def test_classes_and_templates_come_from_the_files_beside(tmp_path: Path) -> None:
    dataset = read_labelled(write_labelled(tmp_path))

    assert [(each.id, each.names) for each in dataset.classes] == [
        ("0", ("tench",)),
        ("1", ("gold fish",)),
    ]
    assert dataset.templates == ("a photo of a {}.", "{}")


def test_blank_lines_at_the_end_are_no_classes(tmp_path: Path) -> None:
    root = write_labelled(tmp_path)
    (tmp_path / "classnames.txt").write_text("tench\ngold fish\n\n \n")

    assert len(read_labelled(root).classes) == 2


def test_without_class_names_classes_are_numbers(tmp_path: Path) -> None:
    root = write_labelled(tmp_path)
    (tmp_path / "classnames.txt").unlink()
    (tmp_path / "zeroshot_classification_templates.txt").unlink()

    dataset = read_labelled(root)

    assert [(each.id, each.names) for each in dataset.classes] == [("0", ()), ("1", ())]
    assert dataset.templates == ()


def test_captions_are_the_lines_of_a_text(tmp_path: Path) -> None:
    dog, many = read_captioned(write_captioned(tmp_path)).images

    assert dog.captions == ("A dog, fast", "Ein Hund\u2028läuft", "犬 walks")
    assert many.captions == tuple(f"caption {n}" for n in range(5))
    assert dog.place.read() == PNG
    assert len(read_captioned(tmp_path, max_captions="all").images[1].captions) == 7


def test_a_plain_folder_of_tars_is_the_split_test(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        write_tar(tmp_path / f"shard-{number}.tar", LABELLED[:1])

    dataset = read_labelled(tmp_path)

    assert [image.name for image in dataset.images] == [
        "shard-0.tar/s0000000.webp",
        "shard-2.tar/s0000000.webp",
        "shard-10.tar/s0000000.webp",
    ]
    assert dataset.splits == ("test",)


def test_a_tar_in_capitals_and_a_split_with_a_dot_are_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "test" / "0.TAR", LABELLED[:1])
    write_tar(tmp_path / "test.v2" / "0.tar", LABELLED[:2])
    write_tar(tmp_path / ".cache" / "0.tar", LABELLED[:2])

    dataset = read_labelled(tmp_path)

    assert [(image.name, image.split) for image in dataset.images] == [
        ("test/0.TAR/s0000000.webp", "test"),
        ("test.v2/0.tar/s0000000.webp", "test.v2"),
        ("test.v2/0.tar/s0000001.jpg", "test.v2"),
    ]


def test_a_tar_beside_folders_of_splits_is_refused(tmp_path: Path) -> None:
    root = write_labelled(tmp_path)
    write_tar(tmp_path / "2.TAR", LABELLED[:1])

    with pytest.raises(InputError, match=r"/2\.TAR lies beside the folders of splits") as caught:
        read_labelled(root)

    assert "move it into the folder of its split" in str(caught.value.hint)


def test_other_members_and_folders_in_a_tar_do_no_harm(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name, content in {
            "__info__": b"x",
            "__meta__/000.jpg": PNG,
            "README": b"x",
            "a/b.c/001.JPG": GRAY,
            "a/b.c/001.json": b"{}",
            "a/b.c/001.seg.png": PNG,
            "a/b.c/001.CLS": b" 3\n",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

    (image,) = read_labelled(tmp_path).images

    assert (image.name, image.label, image.place.read()) == ("0.tar/a/b.c/001.JPG", 3, GRAY)


def test_samples_are_those_of_webdataset(tmp_path: Path) -> None:
    root = write_labelled(tmp_path)
    theirs: list[dict[str, Any]] = []
    for number in range(2):
        url = f"{root}/test/{number}.tar"
        with Path(url).open("rb") as stream:
            files = tariterators.tar_file_expander([{"url": url, "stream": stream}])
            theirs += tariterators.group_by_keys(files)

    ours = [image for image in read_labelled(root).images if image.split == "test"]

    assert [int(sample["cls"]) for sample in theirs] == [image.label for image in ours]
    for sample, image in zip(theirs, ours, strict=True):
        (content,) = [sample[each] for each in ("webp", "jpg", "jpeg") if each in sample]
        assert image.place.read() == content


@pytest.mark.filterwarnings("ignore:WebDataset", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_samples_are_those_of_clip_benchmark(tmp_path: Path) -> None:
    builder = pytest.importorskip("clip_benchmark.datasets.builder", reason="needs clip_benchmark")
    labelled, captioned = write_labelled(tmp_path / "a"), write_captioned(tmp_path / "b")

    def theirs(root: str) -> Any:
        return builder.build_wds_dataset("any", transform=lambda image: image, data_dir=root)

    dataset = read_labelled(labelled)
    ours = [image.label for image in dataset.images if image.split == "test"]
    assert ours == [number for _, number in theirs(labelled)]
    assert [each.title for each in dataset.classes] == theirs(labelled).classes
    assert [each.replace("{}", "{c}") for each in dataset.templates] == theirs(labelled).templates
    # The other sample's captions hold line ends, which clip_benchmark writes and does not read.
    _, many = read_captioned(captioned, max_captions=9).images
    assert list(many.captions) == list(theirs(captioned))[1][1]
    gc.collect()  # it leaves its tars open, and the warnings belong to this test


def test_a_remote_folder_is_read_as_a_local_one(tmp_path: Path) -> None:
    local = write_labelled(tmp_path)
    fsspec.filesystem("memory").put(local, "/wds", recursive=True)

    ours, remote = read_labelled(local), read_labelled("memory://wds")

    assert [image.name for image in remote.images] == [image.name for image in ours.images]
    assert [image.place.read() for image in remote.images] == [WEBP, GRAY, CMYK, WEBP]
    assert remote.classes == ours.classes
    assert identity_of(LABELLED_KIND, LabelledTars(path="memory://wds")) == (
        identity_of(LABELLED_KIND, LabelledTars(path=local))
    )


def test_where_nothing_can_be_listed_the_usual_splits_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_labelled(tmp_path)

    def refuse(folder: str) -> list[str]:
        raise FileNotFoundError(folder)

    def refuse_as_storage(folder: str) -> tuple[list[str], list[str]]:
        raise InputError(f"{folder} cannot be listed")

    monkeypatch.setattr(storage, "list_names", refuse)
    monkeypatch.setattr(storage, "list_folder", refuse_as_storage)

    assert set(read_labelled(root).splits) == {"train", "test"}


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        pytest.param({"webp": WEBP}, r"0\.tar: sample a has no \.cls", id="no label"),
        pytest.param({"cls": 1}, r"0\.tar: sample a has no image", id="no image"),
        pytest.param({"webp": WEBP, "npy": b"01"}, r"sample a has no \.cls", id="many labels"),
        pytest.param(
            {"webp": WEBP, "cls": b"cat"},
            "sample a: a label must be a number, got 'cat'",
            id="word",
        ),
        pytest.param({"webp": WEBP, "cls": b"-1"}, "must be a number, got '-1'", id="negative"),
        pytest.param({"webp": WEBP, "cls": b"\xff"}, r"0\.tar: a\.cls:1: is not UTF-8", id="bytes"),
        pytest.param({"webp": WEBP, "cls": 2}, "label 2 has no line in classnames.txt", id="large"),
    ],
)
def test_a_broken_sample_is_refused_by_name(tmp_path: Path, sample: Sample, message: str) -> None:
    write_tar(tmp_path / "test" / "0.tar", [{"__key__": "a", **sample}])
    (tmp_path / "classnames.txt").write_text("tench\ngoldfish\n")

    with pytest.raises(InputError, match=message):
        read_labelled(tmp_path)


def test_a_sample_with_two_files_of_a_suffix_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name in ("a.png", "a.PNG"):
            archive.addfile(tarfile.TarInfo(name))

    with pytest.raises(InputError, match=r"0\.tar: sample a has two files \.png"):
        read_labelled(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param(
            "classnames.txt", "\ufeffa\r\n\r\nb\r\n", "names.txt:2: a class has no name", id="name"
        ),
        pytest.param(
            "zeroshot_classification_templates.txt",
            "a {c}\na photo\n",
            r"templates\.txt:2: must have `\{c\}` once",
            id="no place",
        ),
        pytest.param(
            "zeroshot_classification_templates.txt", "{c} {c}\n", "once and no other", id="two"
        ),
        pytest.param(
            "zeroshot_classification_templates.txt", "{c} {\n", "once and no other", id="braces"
        ),
        pytest.param("dataset_type.txt", "Retrieval\n", "is of type `retrieval`", id="captions"),
        pytest.param(
            "dataset_type.txt", "multilabel\n", "is of type `multilabel`", id="several labels"
        ),
        pytest.param("test/nshards.txt", "two", "must be the number of tars, got 'two'", id="word"),
        pytest.param("test/nshards.txt", "0\n", "must be the number of tars, got '0'", id="none"),
        pytest.param(
            "test/nshards.txt", "3\n", r"test/2\.tar is not there, but", id="a tar missing"
        ),
    ],
)
def test_a_broken_side_file_is_refused_by_name(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    root = write_labelled(tmp_path)
    (tmp_path / name).write_text(content)

    with pytest.raises(InputError, match=message):
        read_labelled(root)


def test_a_folder_of_the_other_kind_is_refused_with_that_kind(tmp_path: Path) -> None:
    labelled, captioned = write_labelled(tmp_path / "a"), write_captioned(tmp_path / "b")

    with pytest.raises(InputError, match=r"sample s0000000 has no \.txt") as caught:
        read_captioned(labelled)
    assert caught.value.hint == "tars of images with classes are of kind webdataset"
    with pytest.raises(InputError, match=r"dataset_type\.txt: is of type `retrieval`") as caught:
        read_labelled(captioned)
    assert caught.value.hint == "write `kind: webdataset_captions`"


def test_a_folder_without_tars_or_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tars"):
        read_labelled(tmp_path)
    with pytest.raises(InputError, match="holds no tars"):
        read_labelled(tmp_path / "missing")
    write_tar(tmp_path / "val" / "0.tar", [])
    with pytest.raises(InputError, match="the tars of split `val` hold no sample"):
        read_labelled(tmp_path)


def test_the_first_sample_tells_the_kind(tmp_path: Path) -> None:
    labelled, captioned = write_labelled(tmp_path / "a"), write_captioned(tmp_path / "b")
    (tmp_path / "c").mkdir()
    write_tar(tmp_path / "d" / "0.tar", [{"__key__": "a", "json": json.dumps({}).encode()}])

    assert LABELLED_KIND.recognize("any", labelled) == LabelledTars(path=labelled)
    assert CAPTIONED_KIND.recognize("any", captioned) == CaptionedTars(path=captioned)
    for path in (captioned, *(f"{tmp_path}/{name}" for name in ("c", "d", "e"))):
        assert LABELLED_KIND.recognize("any", path) is None
    assert CAPTIONED_KIND.recognize("any", labelled) is None


def test_a_blank_caption_is_left_out_and_told(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [{"__key__": "a", "webp": WEBP, "txt": "one\n\ntwo\n"}])

    dataset = read_captioned(tmp_path)

    assert dataset.images[0].captions == ("one", "two")
    assert dataset.notes == (f"{tmp_path}: blank captions, left out: 1 (0.tar/a.webp)",)


def test_its_fingerprint_is_that_of_what_it_holds(tmp_path: Path) -> None:
    found: list[str] = []
    write_captioned(tmp_path / "a")
    for folder in ("a", "b", "c"):
        if folder != "a":
            shutil.copytree(tmp_path / "a", tmp_path / folder)
        if folder == "c":
            write_tar(tmp_path / "c" / "test" / "0.tar", CAPTIONED[:1])
        found.append(identity_of(CAPTIONED_KIND, CaptionedTars(path=f"{tmp_path}/{folder}")))

    assert found[0] == found[1] != found[2]
