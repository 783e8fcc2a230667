"""Which tars a path stands for, and what makes a harvest of them another one."""

import tarfile
from pathlib import Path

import pytest
from own_images import read_tars, write_img2dataset, write_tar, write_three_samples

from openalign.errors import InputError
from openalign.files import storage
from openalign.ingest.sources.kinds import fingerprints
from openalign.ingest.sources.own_images.tars_reading import tar_names
from openalign.ingest.sources.tars import TarsSource, check, own_images
from openalign.ingest.web.config import WebConfig


def message(path: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        check(TarsSource(path=str(path)))
    assert caught.value.hint
    return str(caught.value)


# Which tars ---------------------------------------------------------------------------------------


def names(path: Path | str) -> list[str]:
    return tar_names(TarsSource(path=str(path)))


def test_a_path_may_be_a_tar_a_folder_or_a_pattern(tmp_path: Path) -> None:
    for name in ("00009.tar", "00010.tar", "00011.tar", "more/00000.TAR", ".hidden/1.tar"):
        write_tar(tmp_path / name, [])
    (tmp_path / "notes.txt").write_text("no tar")

    assert names(tmp_path) == ["00009.tar", "00010.tar", "00011.tar", "more/00000.TAR"]
    assert names(f"{tmp_path}/") == names(tmp_path)
    assert names(tmp_path / "00010.tar") == ["00010.tar"]
    assert names(tmp_path / "*.tar") == ["00009.tar", "00010.tar", "00011.tar"]
    assert names(tmp_path / "{00009..00010}.tar") == ["00009.tar", "00010.tar"]
    assert names(tmp_path / "0001{0,1}.tar") == ["00010.tar", "00011.tar"]
    assert names(tmp_path / "mo*" / "*") == ["more/00000.TAR"]


def test_a_pattern_may_name_folders_and_passes_over_what_is_no_tar(tmp_path: Path) -> None:
    for name in ("train/0.tar", "val/deep/1.tar", "val/.hidden.tar", "test/2.tar"):
        write_tar(tmp_path / name, [])
    (tmp_path / "train" / "0.parquet").write_bytes(b"")
    (tmp_path / "train" / "0_stats.json").write_bytes(b"{}")

    assert names(tmp_path / "{train,val}") == ["train/0.tar", "val/deep/1.tar"]
    assert names(tmp_path / "t*") == ["test/2.tar", "train/0.tar"]
    assert names(tmp_path / "train" / "*") == ["0.tar"]
    assert "names no tar" in message(tmp_path / "train" / "*.json")


def test_a_list_names_tars_below_the_folder_that_all_lie_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cc3m/0.tar", "cc3m/1.tar", "cc12m/0.tar", "other/0.tar"):
        write_tar(tmp_path / name, [])
    monkeypatch.chdir(tmp_path)
    for base in (f"{tmp_path}/", ""):
        source = TarsSource(path=(f"{base}cc3m", f"{base}cc12m/{{0..0}}.tar", f"{base}cc3m/1.tar"))
        assert tar_names(source) == ["cc12m/0.tar", "cc3m/0.tar", "cc3m/1.tar"]
        assert own_images(source).folder == str(tmp_path)


def test_a_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tar(tmp_path / "set" / "0.tar", [])
    monkeypatch.chdir(tmp_path)

    assert names("set") == names("set/0.tar") == names("set/*.tar") == ["0.tar"]
    monkeypatch.chdir(tmp_path / "set")
    assert names(".") == names("0.tar") == names("{0,0}.tar") == ["0.tar"]


def test_a_number_that_is_missing_from_a_pattern_is_named(tmp_path: Path) -> None:
    for name in ("00000.tar", "00002.tar"):
        write_tar(tmp_path / name, [])

    said = message(tmp_path / "{00000..00003}.tar")

    assert said == f"{tmp_path}/00001.tar is not there, and 1 more of 4"


def test_paths_that_name_no_tar_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert "names no tar" in message(tmp_path / "empty")
    assert "names no tar" in message(tmp_path / "*.tar")
    assert "a.tar is not there" in message(tmp_path / "a.tar")
    assert "names no tar" in message(tmp_path / "nowhere")


def test_what_is_no_plain_tar_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "packed.tar", "w:gz"):
        pass
    (tmp_path / "page.tar").write_text("<html>not found</html>" * 100)
    (tmp_path / "nothing.tar").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "00000.tar.gz").write_bytes(b"")

    assert "packed.tar is compressed with gzip" in message(tmp_path / "packed.tar")
    assert "00000.tar.gz is compressed" in message(tmp_path / "folder")
    assert "00000.tar.gz is compressed" in message(tmp_path / "folder" / "00000.tar.gz")
    assert "page.tar: it is no tar, or a broken one" in message(tmp_path / "page.tar")
    assert "nothing.tar: it is no tar, or a broken one" in message(tmp_path / "nothing.tar")


def test_damaged_tars_before_a_whole_one_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"")
    (tmp_path / "b.tar").write_bytes(b"PK" * 999)
    assert "a.tar: it is no tar, or a broken one" in message(tmp_path)

    write_three_samples(tmp_path / "c.tar")
    assert len(read_tars(tmp_path)[0]) == 3
    with tarfile.open(tmp_path / "b.tar", "w:gz"):
        pass
    assert "b.tar is compressed with gzip" in message(tmp_path)


def test_tars_are_read_from_object_stores(tmp_path: Path) -> None:
    write_three_samples(tmp_path / "a.tar")
    storage.write_bytes("memory://own/set/a.tar", (tmp_path / "a.tar").read_bytes())

    here, there = read_tars(tmp_path), read_tars("memory://own/set")

    assert (
        here
        == there
        == read_tars("memory://own/set/*.tar")
        == read_tars("memory://own/set/{a,a}.tar")
    )
    assert own_images(TarsSource(path="memory://own/set/{a,b}.tar")).folder == "memory://own/set"


# The fingerprint ----------------------------------------------------------------------------------


def test_the_fingerprint_is_of_names_and_contents_and_not_of_the_place(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        write_img2dataset(tmp_path / folder, 0, [1, 2])

    def of(path: str) -> dict[str, str]:
        return fingerprints(
            TarsSource(path=str(tmp_path / path)), WebConfig(), cache=str(tmp_path / "cache.json")
        )

    first = of("here")
    assert of("there") == of("here/*.tar") == of("here/00000.tar") == first
    (tmp_path / "there" / "00000.parquet").unlink()
    assert of("there") != first
    write_img2dataset(tmp_path / "there", 0, [1, 3])
    assert of("there") != first
    write_img2dataset(tmp_path / "there", 0, [1, 2])
    assert of("there") == first
    (tmp_path / "there" / "00000.tar").rename(tmp_path / "there" / "00001.tar")
    assert of("there") != first
