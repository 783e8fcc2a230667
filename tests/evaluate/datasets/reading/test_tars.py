import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import fsspec
import pytest

from openalign.errors import InputError
from openalign.evaluate.datasets.reading.slices import FileSlice
from openalign.evaluate.datasets.reading.tars import MAX_TEXT_BYTES, members

FILES = {
    "a.txt": b"one\n",
    "a.png": b"\x89PNG" * 300,
    "x" * 150 + "/b.png": b"",  # a name too long for one header
    "c.bin": b"c" * 512,
}


def packed(files: Mapping[str, bytes], *, form: int = tarfile.PAX_FORMAT) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_member_is_a_range_of_the_tar(tmp_path: Path, form: int) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(packed(FILES, form=form))

    found = list(members(str(path)))

    assert {member.name: member.place.read() for member in found} == FILES
    assert [member.place.file for member in found] == [str(path)] * 4
    assert all(member.content is None for member in found)


def test_content_that_is_asked_for_comes_with_the_index(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(packed(FILES))

    found = {m.name: m.content for m in members(str(path), with_content=lambda n: n == "a.txt")}

    assert found == dict.fromkeys(FILES) | {"a.txt": b"one\n"}


def test_links_are_no_members(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)

    assert list(members(f"{tmp_path}/a.tar")) == []


def test_a_label_of_a_megabyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(packed({"a.txt": b"a" * MAX_TEXT_BYTES, "b.txt": b"a" * (MAX_TEXT_BYTES + 1)}))
    found = members(str(path), with_content=lambda _: True)

    assert len(next(found).content or b"") == MAX_TEXT_BYTES
    with pytest.raises(InputError, match=r"b\.txt has 1048577 bytes"):
        next(found)


def test_a_tar_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    whole = packed(FILES)
    used = len(whole.rstrip(b"\0"))
    end = -(-used // 512) * 512  # the first empty block is the mark of the end

    for length in [*range(0, end + 512, 512), *range(100, end + 512, 512)]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.tar: (it is no tar|ends at byte)"):
            list(members(str(path)))

    path.write_bytes(whole[: end + 512])
    assert len(list(members(str(path)))) == 4


def test_a_broken_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    content = bytearray(packed({"a.txt": b"one", "b.txt": b"two"}))
    header = content.index(b"b.txt")
    content[header] ^= 1
    path.write_bytes(content)

    with pytest.raises(InputError, match=f"the header at byte {header} is broken"):
        list(members(str(path)))


def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")

    with pytest.raises(InputError, match="it is no tar") as refused:
        list(members(str(path)))

    assert str(refused.value.hint).startswith("it is a Git LFS pointer, not the file itself: run")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(packed(FILES)), id="compressed"),
        pytest.param(b"no tar" * 1000, id="another file"),
        pytest.param(b"", id="empty"),
    ],
)
def test_what_is_no_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)

    with pytest.raises(InputError, match=r"a\.tar: it is no tar, or a broken one"):
        list(members(f"{tmp_path}/a.tar"))


def test_a_hostile_header_is_refused(tmp_path: Path) -> None:
    more = tarfile.TarInfo("more")
    more.type, more.size = tarfile.XHDTYPE, 12  # a header of the next header
    block = more.tobuf(tarfile.USTAR_FORMAT) + b"12 path=a\n\n\n".ljust(512, b"\0")
    (tmp_path / "deep.tar").write_bytes(block * 3000)
    header = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 12  # its size, -1
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:]))
    (tmp_path / "negative.tar").write_bytes(bytes(header) + bytes(1024))

    with pytest.raises(InputError, match=r"deep\.tar: it is no tar, or a broken one"):
        list(members(f"{tmp_path}/deep.tar"))
    with pytest.raises(InputError, match=r"negative\.tar: a\.png has -1 bytes"):
        list(members(f"{tmp_path}/negative.tar"))


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"12345")

    assert FileSlice(f"{tmp_path}/a.tar", 1, 3).read() == b"234"
    with pytest.raises(InputError, match=r"a\.tar: ends at byte 5, within an image"):
        FileSlice(f"{tmp_path}/a.tar", 3, 3).read()
    with pytest.raises(InputError, match=r"b\.tar cannot be read: there is no such file"):
        FileSlice(f"{tmp_path}/b.tar", 3, 3).read()


def test_a_remote_image_is_one_ranged_read(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = fsspec.filesystem("memory")
    remote.pipe_file("/tars/a.tar", packed(FILES))
    (image,) = [m.place for m in members("memory://tars/a.tar") if m.name == "a.png"]
    reads: list[tuple[int | None, int | None]] = []
    cat_file = type(remote).cat_file

    def counted(self: object, path: str, start: int | None = None, end: int | None = None) -> bytes:
        reads.append((start, end))
        return cat_file(self, path, start=start, end=end)

    monkeypatch.setattr(type(remote), "cat_file", counted)

    assert image.read() == FILES["a.png"]
    assert reads == [(image.offset, image.offset + 1200)]
