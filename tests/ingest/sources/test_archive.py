"""Which archives a source names, what is checked beforehand, and what identifies them."""

import gzip
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from archives_made import answer, broken, gz, in_small_letters, page, record, wat
from faulty_web import Reply, serve

from openalign.errors import InputError
from openalign.files import storage
from openalign.ingest.sources import archive
from openalign.ingest.sources.archive import ArchiveSource
from openalign.ingest.sources.contract import SourceSettings
from openalign.ingest.sources.kinds import fingerprints, kind_asking, kind_of
from openalign.ingest.sources.warc import WarcSource
from openalign.ingest.sources.wat import WatSource
from openalign.ingest.web.config import WebConfig

CONTENT = gz(page("<img src=a.png alt=cat>"))
FAR = "http://far.example"

check = partial(archive.check, web=WebConfig())
found = partial(archive.found, web=WebConfig())


def write(folder: Path, *names: str, content: bytes = CONTENT) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def names(source: ArchiveSource) -> list[str]:
    return [name for name, _ in found(source)]


def test_a_folder_stands_for_the_archives_below_it(tmp_path: Path) -> None:
    write(tmp_path, "b/2.warc.gz", "b/1.warc", "a.warc.zst", "A.WARC.GZ")
    write(tmp_path, "a.warc.wat.gz", "a.warc.wet.gz", "a.cdx", ".hidden.warc", "_x/a.warc", "warc")

    assert names(WarcSource(path=str(tmp_path))) == [
        "A.WARC.GZ",
        "a.warc.zst",
        "b/1.warc",
        "b/2.warc.gz",
    ]
    assert names(WatSource(path=str(tmp_path))) == ["a.warc.wat.gz"]


def test_a_pattern_names_files_whatever_they_are_called(tmp_path: Path) -> None:
    write(tmp_path, "day=1/part-0", "day=2/part-0")

    assert names(WarcSource(path=f"{tmp_path}/*/part-*")) == ["day=1/part-0", "day=2/part-0"]


def test_a_list_names_archives_of_several_places(tmp_path: Path) -> None:
    write(tmp_path, "old/x.warc.gz", "new/y.warc.gz", "new/z.warc.gz")
    paths = (f"{tmp_path}/new", f"{tmp_path}/old/x.warc.gz", f"{tmp_path}/new/z.warc.gz")

    assert names(WarcSource(path=paths)) == ["new/y.warc.gz", "new/z.warc.gz", "old/x.warc.gz"]
    assert names(WarcSource(path=(f"{FAR}/a/x.warc.gz", f"{FAR}/b/x.warc.gz"))) == [
        "a/x.warc.gz",
        "b/x.warc.gz",
    ]


def test_a_file_has_its_own_name_wherever_it_lies(tmp_path: Path) -> None:
    write(tmp_path, "x.warc.gz")
    storage.write_bytes("memory://archives/x.warc.gz", CONTENT)

    assert names(WarcSource(path=str(tmp_path / "x.warc.gz"))) == ["x.warc.gz"]
    assert names(WarcSource(path="memory://archives/x.warc.gz")) == ["x.warc.gz"]
    assert names(WarcSource(path="http://127.0.0.1:9/a/x.warc.gz?b=c")) == ["x.warc.gz"]
    assert names(WarcSource(path="memory://archives")) == ["x.warc.gz"]


LIST = "crawl/a.warc.gz\ncrawl/b.warc.gz\n\ncrawl/c.warc.gz\n"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, ["a", "b", "c"], id="all"),
        pytest.param({"first": 2}, ["a", "b"], id="first"),
        pytest.param({"skip": 1}, ["b", "c"], id="skip"),
        pytest.param({"skip": 1, "first": 1}, ["b"], id="both"),
        pytest.param({"first": 9}, ["a", "b", "c"], id="more than there are"),
    ],
)
def test_a_slice_of_a_list_is_read(
    tmp_path: Path, settings: dict[str, Any], expected: list[str]
) -> None:
    (tmp_path / "warc.paths").write_text(LIST)
    source = WarcSource(paths=str(tmp_path / "warc.paths"), **settings)

    assert names(source) == [f"crawl/{name}.warc.gz" for name in expected]


@pytest.mark.parametrize("prefix", ["s3://commoncrawl/", "s3://commoncrawl"])
def test_paths_of_a_list_begin_with_the_prefix(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "warc.paths.gz").write_bytes(gzip.compress(LIST.encode()))
    source = WarcSource(paths=str(tmp_path / "warc.paths.gz"), prefix=prefix, first=1)

    assert found(source) == [("crawl/a.warc.gz", "s3://commoncrawl/crawl/a.warc.gz")]


def test_the_prefix_is_common_crawls_unless_another_one_is_set(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("crawl/a.warc.gz\nhttp://host.example:8000/x/b.warc.gz\n")

    assert found(WarcSource(paths=str(tmp_path / "list"))) == [
        ("crawl/a.warc.gz", "https://data.commoncrawl.org/crawl/a.warc.gz"),
        ("x/b.warc.gz", "http://host.example:8000/x/b.warc.gz"),
    ]


def test_a_list_is_read_from_a_web_server() -> None:
    with serve({"/warc.paths.gz": Reply(body=gzip.compress(LIST.encode()))}) as web:
        base = f"http://{web.address}"
        source = WarcSource(paths=f"{base}/warc.paths.gz", prefix=base, first=1)

        assert found(source) == [("crawl/a.warc.gz", f"{base}/crawl/a.warc.gz")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "names no archive", id="empty"),
        pytest.param(b"\n \n", "names no archive", id="empty lines"),
        pytest.param(b"<html>403", r"list of archives: it begins with '<html>403'", id="HTML"),
        pytest.param(gzip.compress(b"x")[:-4], "cannot be read as a list of archives", id="cut"),
        pytest.param(b"\xff\xfe", "cannot be read as a list of archives", id="another file"),
    ],
)
def test_a_list_that_is_none_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list").write_bytes(content)

    with pytest.raises(InputError, match=message):
        found(WarcSource(paths=str(tmp_path / "list")))


@pytest.mark.parametrize("path", ["nothing.warc", "*.warc", "empty"])
def test_a_path_that_names_nothing_is_an_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(InputError, match="names no file") as caught:
        found(WarcSource(path=str(tmp_path / path)))
    assert "a folder stands for .warc files" in str(caught.value.hint)


def test_a_pattern_on_a_web_server_is_an_error() -> None:
    with pytest.raises(InputError, match="a web server names no files"):
        found(WarcSource(path="https://host.example/*.warc.gz"))


def test_a_line_of_a_list_may_hold_spaces(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("my crawl/a.warc.gz\r\n\n b.warc.gz \n")

    assert names(WarcSource(paths=str(tmp_path / "list"))) == ["my crawl/a.warc.gz", "b.warc.gz"]


def test_a_list_whose_archives_lie_elsewhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a.warc.gz\n")

    with pytest.raises(InputError, match=r"a\.warc\.gz .*there is no such file") as caught:
        check(WarcSource(paths=str(tmp_path / "list"), prefix=str(tmp_path)))
    assert "`harvest.source.prefix` stands before each path" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "path or paths must name archives, got neither"),
        ({"path": "a", "paths": "b"}, "path and paths exclude each other"),
        ({"path": "a", "first": 1}, "skip and first choose from the list"),
        ({"path": "a", "skip": 1}, "skip and first choose from the list"),
        ({"paths": "a", "first": 0}, "first must be above 0, got 0"),
        ({"paths": "a", "skip": -1}, "skip must not be negative, got -1"),
        ({"path": "a", "http_readers": 0}, "http_readers must be above 0, got 0"),
        ({"path": "a", "max_page_bytes": 0}, "max_page_bytes must be above 0, got 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        WarcSource(**settings)


# What is checked ----------------------------------------------------------------------------------

INFO = record(b"a: b\r\n", kind="warcinfo", content_type="application/warc-fields")
TEXT = record(b"cat", kind="conversion", content_type="text/plain")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(CONTENT, id="gzip"),
        pytest.param(gzip.compress(INFO + page("<p>") * 9), id="gzip as a whole"),
        pytest.param(INFO, id="without a page"),
        pytest.param(broken(CONTENT) + CONTENT, id="damaged at its beginning"),
        pytest.param(gz(INFO, page("<p>" * 999))[:-9], id="cut short"),
        pytest.param(page("x" * 2_000_000), id="larger than what is looked at"),
    ],
)
def test_an_archive_passes(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "x.warc", content=content)

    check(WarcSource(path=str(tmp_path / "x.warc")))


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        pytest.param(b"", "cannot be read as an archive: it is empty", "plain", id="empty"),
        pytest.param(
            b"<html>" * 9, r"cannot be read as an archive: it begins with b'<html>", "", id="HTML"
        ),
        pytest.param(broken(CONTENT), "no record in it can be read", "", id="damaged"),
        pytest.param(
            gz(INFO, wat()), "is a WAT file, and the source is of kind warc", "kind: wat", id="WAT"
        ),
        pytest.param(in_small_letters(wat()), "is a WAT file", "kind: wat", id="small letters"),
        pytest.param(gz(INFO, TEXT), "is a WET file", "take the WARC or WAT files", id="WET"),
    ],
)
def test_another_file_is_refused_by_name(
    tmp_path: Path, content: bytes, message: str, hint: str
) -> None:
    write(tmp_path, "x.warc", content=content)

    with pytest.raises(InputError, match=message) as caught:
        check(WarcSource(path=str(tmp_path / "x.warc")))
    assert str(tmp_path / "x.warc") in str(caught.value)
    assert hint in str(caught.value.hint)


def test_a_warc_is_no_wat(tmp_path: Path) -> None:
    write(tmp_path, "x.wat", content=gz(INFO, page("<p>")))

    with pytest.raises(InputError, match="is a WARC file, and the source is of kind wat") as caught:
        check(WatSource(path=str(tmp_path / "x.wat")))
    assert caught.value.hint == "write `kind: warc`"


def test_a_damaged_archive_may_stand_among_whole_ones_and_another_file_may_not(
    tmp_path: Path,
) -> None:
    write(tmp_path, "a.warc", content=b"")
    write(tmp_path, "b.warc")
    check(WarcSource(path=str(tmp_path)))

    write(tmp_path, "c.warc", content=b"%PDF-1.7")
    with pytest.raises(InputError, match=r"c\.warc cannot be read as an archive"):
        check(WarcSource(path=str(tmp_path)))


def test_of_a_list_only_the_first_archive_is_looked_at() -> None:
    with serve({"/list": Reply(body=b"a\nb\n"), "/a": Reply(body=CONTENT)}) as web:
        base = f"http://{web.address}"
        check(WarcSource(paths=f"{base}/list", prefix=base))
        assert web.asked == {"/list": 1, "/a": 1}

        with pytest.raises(InputError, match="/b cannot be read as an archive: the server answers"):
            check(WarcSource(paths=f"{base}/list", prefix=base, skip=1))


@pytest.mark.parametrize("source_of", [WarcSource, WatSource])
def test_a_list_and_its_first_archive_are_asked_for_through_the_proxy(
    tmp_path: Path, source_of: type[ArchiveSource]
) -> None:
    kept = source_of.__name__.removesuffix("Source").lower()
    content = CONTENT if kept == "warc" else gz(wat())
    routes = {f"{FAR}/list": Reply(body=b"a\n"), f"{FAR}/a": Reply(body=content)}
    source: SourceSettings = source_of(kind=kept, paths=f"{FAR}/list", prefix=FAR, http_retries=0)
    with serve(routes) as proxy:
        web = WebConfig(proxy=f"http://{proxy.address}")
        kind_asking(source, web).check(source)
        assert proxy.asked == {f"{FAR}/list": 1, f"{FAR}/a": 1}

        [found] = fingerprints(source, web, cache=str(tmp_path / "cache.json"))
        assert found == kept
        assert proxy.asked == {f"{FAR}/list": 2, f"{FAR}/a": 1}

    with pytest.raises(InputError, match="cannot be read as a list of archives"):
        kind_of(source).check(source)


# What identifies them -----------------------------------------------------------------------------


def identity(source: ArchiveSource, tmp_path: Path) -> str:
    return archive.fingerprint(source, str(tmp_path / "cache.json"), WebConfig())


def test_content_and_names_identify_archives_and_their_place_does_not(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(tmp_path / folder, "a.warc", "b.warc")
    one, two = (WarcSource(path=str(tmp_path / folder)) for folder in ("one", "two"))
    before = identity(one, tmp_path)
    assert identity(two, tmp_path) == before

    write(tmp_path / "two", "b.warc", content=CONTENT + b"\0")
    assert identity(two, tmp_path) != before
    (tmp_path / "one" / "b.warc").rename(tmp_path / "one" / "c.warc")
    assert identity(one, tmp_path) != before


def test_the_archives_of_a_list_are_identified_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a.warc\nb.warc\n")
    near = WarcSource(paths=str(tmp_path / "list"), prefix="s3://commoncrawl/")
    far = WarcSource(paths=str(tmp_path / "list"))

    assert identity(near, tmp_path) == identity(far, tmp_path)
    assert identity(WarcSource(paths=str(tmp_path / "list"), first=1), tmp_path) != identity(
        far, tmp_path
    )


def test_a_response_of_another_protocol_says_nothing_about_the_kind(tmp_path: Path) -> None:
    write(tmp_path, "x.warc", content=record(answer(b""), url="dns:a"))

    check(WarcSource(path=str(tmp_path / "x.warc")))
