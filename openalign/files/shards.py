"""Samples and the plain webdataset tars that hold them, with an index for random reads.

A tar's bytes depend on its samples alone: names in the order given, mtime 0, uid 0. Beside
`shard-00000-00000.tar` stands `shard-00000-00000.index.parquet` (`schemas.INDEX`).
"""

import io
import os
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from openalign.errors import InputError
from openalign.files import remote_reads, storage
from openalign.files.block_cache import BlockCache
from openalign.files.hashing import content_hash
from openalign.files.manifest import DataFile
from openalign.files.names import index_name
from openalign.files.remote_reads import AskedAhead, Stretch
from openalign.files.schemas import INDEX
from openalign.files.tables import write_table

_HEADER_BYTES = 512


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a shard: its key and its members by extension, written in that order."""

    key: str
    members: Mapping[str, bytes]


def write_shard(folder: str, shard: str, samples: Iterable[Sample]) -> list[DataFile]:
    """Write a tar and its index, each in one step, the tar first; return both."""
    rows: dict[str, list[object]] = {name: [] for name in INDEX.names}
    num_samples = 0
    with (
        storage.local_target(storage.join(folder, shard)) as target,
        # USTAR has no extended headers: one block precedes each member's content.
        tarfile.open(target.path, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for sample in samples:
            num_samples += 1
            for extension, content in sample.members.items():
                member = tarfile.TarInfo(f"{sample.key}.{extension}")
                member.size = len(content)
                member.mode = 0o444
                place = (tar.offset + _HEADER_BYTES, len(content))
                row = (sample.key, extension, *place, content_hash(content))
                tar.addfile(member, io.BytesIO(content))
                for name, value in zip(INDEX.names, row, strict=True):
                    rows[name].append(value)
    tar_file = DataFile.of(shard, target.written, num_rows=num_samples)
    table = pa.table(rows, schema=INDEX)
    return [tar_file, write_table(folder, index_name(shard), table)]


class _OpenFile:
    """A local file that is closed with the last reference to it.

    So no thread closes it while another reads, and the system does not reuse its number.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.descriptor = os.open(path, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class ShardReader:
    """Reads members of shards by offset, from any thread; of local ones with one positioned read.

    A shard lies in `folder`, unless its name begins with the name of one of `places` and a slash:
    then the rest of the name is that of a file below that place.

    The `max_open` local shards that were read last stay open. Shards are opened on first use, so
    a reader can be handed to another process.

    Reads of remote shards are tried again where the store fails, go through `cache` where there is
    one, and can be asked for ahead.
    """

    def __init__(
        self,
        folder: str,
        *,
        places: Mapping[str, str] | None = None,
        max_open: int = 128,
        cache: BlockCache | None = None,
    ) -> None:
        self._folder = folder
        self._places = dict(places or {})
        self._max_open = max_open
        self._local = {url for url in (folder, *self._places.values()) if storage.is_local(url)}
        self._files: OrderedDict[tuple[str, str], _OpenFile] = OrderedDict()
        self._lock = threading.Lock()
        self._cache = cache
        self._ahead = AskedAhead(self._read_remote)

    @property
    def is_remote(self) -> bool:
        """Whether some shards lie under URLs."""
        return not self._local.issuperset((self._folder, *self._places.values()))

    def read(self, shard: str, offset: int, length: int) -> bytes:
        """Return `length` bytes of a shard from `offset`; fewer where it ends before.

        Raises:
            InputError: there is no such shard, or it may not be read.
            StageError: a store has failed several times.
        """
        folder, name = self._place(shard)
        if folder not in self._local:
            return self._ahead.read(Stretch(shard, offset, length))
        with self._lock:
            file = self._open(folder, name)
        return os.pread(file.descriptor, length, offset)

    def read_anew(self, shard: str, offset: int, length: int) -> bytes:
        """Do as `read`, and trust no copy on this machine: what was there is forgotten."""
        folder, name = self._place(shard)
        if folder not in self._local and self._cache is not None:
            self._cache.forget(storage.join(folder, name), offset, length)
        return self.read(shard, offset, length)

    def ask(self, stretches: Iterable[Stretch]) -> None:
        """Begin to read stretches of remote shards, which `read` is about to be asked for."""
        self._ahead.ask(each for each in stretches if self._place(each.shard)[0] not in self._local)

    def drop(self, stretches: Iterable[Stretch]) -> None:
        """Let go of what was asked for and not read: it is not wanted any more."""
        self._ahead.drop(stretches)

    def close(self) -> None:
        """Close every file that no thread reads from, and let go of what was asked for."""
        self._ahead.close()
        with self._lock:
            self._files.clear()

    def _place(self, shard: str) -> tuple[str, str]:
        """Return the folder that a shard lies in, and its name there."""
        place, slash, rest = shard.partition("/")
        if slash and place in self._places:
            return self._places[place], rest
        return self._folder, shard

    def _read_remote(self, stretch: Stretch) -> bytes:
        folder, name = self._place(stretch.shard)
        url = storage.join(folder, name)
        fetch = partial(remote_reads.read_range, url)
        if self._cache is None:
            return fetch(stretch.offset, stretch.length)
        return self._cache.read(url, stretch.offset, stretch.length, fetch=fetch)

    def _open(self, folder: str, name: str) -> "_OpenFile":
        key = (folder, name)
        file = self._files.get(key)
        if file is None:
            while len(self._files) >= self._max_open:
                self._files.popitem(last=False)
            file = self._files[key] = _OpenFile(storage.local_path(folder) / name)
        self._files.move_to_end(key)
        return file

    def __reduce__(self) -> tuple[Callable[..., "ShardReader"], tuple[str]]:
        again = partial(
            ShardReader, places=self._places, max_open=self._max_open, cache=self._cache
        )
        return again, (self._folder,)
