"""sha256 of files that lie outside a run, without reading again what did not change.

A cache holds, for each file, the stamp that it had when it was read, and its hash. A stamp is what
a file system tells without reading: size, times and inode of a local file (the time of its last
change of any kind is among them, so a date that is set back does not hide a change), or all that an
object store says. A cache only saves time. It is no part of a result, and may be deleted.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.found_names import check_paths
from openalign.telemetry import progress_line

_THREADS = 8
_AT_ONCE = 4096
"""Files that wait for a thread: for each of a million, they would take a gigabyte of memory."""

_NO_FILE = (errno.ENAMETOOLONG, errno.ELOOP)
"""Errors of a path that leads to no file."""

_SETTLED_NS = 2_000_000_000
"""A file that changed a moment ago may change again without another stamp: clocks are coarse."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    stamp: str
    sha256: str


_CACHE = msgspec.json.Decoder(dict[str, _Entry])


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What is known of a file without reading it."""

    text: str
    is_settled: bool = True
    sha256: str = ""
    """Where the file system knows the hash itself."""


def hashes_of(
    urls: Iterable[str], *, cache: str, moved: Callable[[], None] | None = None
) -> dict[str, str]:
    """Return the sha256 of each file, in hex, by its URL; a file that is not there is left out.

    Args:
        urls: files.
        cache: URL of the cache. Where it cannot be written, every call reads every file.
        moved: read in this thread alone and say nothing, beside other work; it is called now and
            then.

    Raises:
        InputError: a file cannot be read, or a folder cannot be listed, or a name is not UTF-8.
    """
    places = _places_of(urls)
    stamps = _stamps_of(places.values())
    known = _read(cache)
    hashes = {
        url: stamp.sha256 or known[url].sha256
        for url, stamp in stamps.items()
        if stamp.sha256 or (url in known and known[url].stamp == stamp.text)
    }

    def keep() -> None:
        entries = {
            url: _Entry(stamp.text, hashes[url])
            for url, stamp in stamps.items()
            if url in hashes and stamp.is_settled
        }
        if entries != known:
            with suppress(OSError):
                storage.write_bytes(cache, msgspec.json.encode(entries))

    unknown = [url for url in stamps if url not in hashes]
    try:
        if moved is None:
            _add_hashes(hashes, unknown)
        else:
            for url in unknown:
                hashes[url] = _sha256_of(url, moved)
                keep()  # such a process may be killed
    finally:  # what was read before an interruption is not read again
        keep()
    return {url: hashes[place] for url, place in places.items() if place in hashes}


def missing_files(urls: Iterable[str]) -> list[str]:
    """Return those of the files that are not there, in the order given.

    Raises:
        InputError: a folder cannot be listed, or a name is not UTF-8.
    """
    places = _places_of(urls)
    there = _stamps_of(places.values())
    return [url for url, place in places.items() if place not in there]


def _read(cache: str) -> dict[str, _Entry]:
    try:
        return _CACHE.decode(storage.read_bytes(cache))
    except (InputError, OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _add_hashes(hashes: dict[str, str], urls: Sequence[str]) -> None:
    """Read files, several at once, and note the hash of each."""
    if not urls:
        return
    done = 0
    pool = ThreadPoolExecutor(_THREADS)
    try:
        with progress_line("hashing", lambda: f"{done:,} of {len(urls):,} files"):
            for start in range(0, len(urls), _AT_ONCE):
                part = urls[start : start + _AT_ONCE]
                for url, sha256 in zip(part, pool.map(_sha256_of, part), strict=True):
                    hashes[url] = sha256
                    done += 1
    finally:
        pool.shutdown(cancel_futures=True)


def _sha256_of(url: str, moved: Callable[[], None] | None = None) -> str:
    try:
        if moved is None:
            return storage.sha256_of(url)
        return storage.found_at(url, moved=moved).sha256
    except OSError as error:
        raise InputError(f"{url} cannot be read: {error.strerror or error}") from error


def _places_of(urls: Iterable[str]) -> dict[str, str]:
    """Return each URL's place as another process names it: an absolute path, or a remote URL."""
    places = {url: _place_of(url) for url in dict.fromkeys(urls)}
    check_paths(places.values())
    return places


def _place_of(url: str) -> str:
    is_path = "://" not in url and not url.startswith("~")
    return os.path.abspath(url) if is_path else storage.absolute(url)  # noqa: PTH100  # keeps links


def _stamps_of(places: Iterable[str]) -> dict[str, _Stamp]:
    """Return the stamp of each file that is there."""
    remote: list[str] = []
    local: list[str] = []
    for place in places:
        (local if place.startswith("/") else remote).append(place)
    return {**_local_stamps(local), **_remote_stamps(remote)}


def _local_stamps(urls: Iterable[str]) -> dict[str, _Stamp]:
    now = time.time_ns()
    stamps: dict[str, _Stamp] = {}
    for url in urls:
        try:
            status = os.stat(url)  # noqa: PTH116  # a path object for each of a million images
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no path at all
            continue
        except OSError as error:
            if error.errno in _NO_FILE:
                continue
            raise InputError(f"{url} cannot be read: {error.strerror or error}") from error
        if not stat.S_ISREG(status.st_mode):
            continue
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        text = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        stamps[url] = _Stamp(text, is_settled=changed < now - _SETTLED_NS)
    return stamps


def _remote_stamps(urls: Iterable[str]) -> dict[str, _Stamp]:
    """Return the stamps of files on object stores and servers; each folder is listed once."""
    folders: dict[str, list[str]] = {}
    for url in urls:
        folders.setdefault(url.rpartition("/")[0], []).append(url)
    stamps: dict[str, _Stamp] = {}
    for folder, inside in folders.items():
        listed = _listed(folder)
        for url in inside:
            details = listed.get(url.rpartition("/")[2])
            if details is not None and details.get("type") == "file":
                text = str(sorted((key, str(value)) for key, value in details.items()))
                stamps[url] = _Stamp(text, sha256=_published_hash(details))
            elif not listed and storage.exists(url):  # a web server lists nothing
                stamps[url] = _Stamp("", is_settled=False)
    return stamps


def _listed(folder: str) -> dict[str, Mapping[str, Any]]:
    storage.check_reachable(folder)
    try:
        return storage.list_details(folder)
    except OSError:  # there is no such folder, or it cannot be listed
        return {}


def _published_hash(details: Mapping[str, Any]) -> str:
    """Return the sha256 that the Hugging Face hub gives of a large file; empty elsewhere."""
    large = details.get("lfs")
    return str(large["sha256"]) if isinstance(large, Mapping) and "sha256" in large else ""
