"""Remote shards read through the disk of a machine, with a real server that counts requests."""

import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import fsspec
import pytest
from patience import PATIENCE_SECONDS, wait_for
from range_server import RangeServer, range_server

from openalign.errors import InputError, StageError
from openalign.files import block_cache, remote_reads
from openalign.files.block_cache import BLOCK_BYTES, BlockCache
from openalign.files.remote_reads import NUM_REQUESTS, Stretch
from openalign.files.shards import ShardReader

NUM_BLOCKS = 4
CONTENT = random.Random(0).randbytes(NUM_BLOCKS * BLOCK_BYTES - 1000)
"""Of a shard whose last block is cut short."""

SHARD = "shard-00000-00000.tar"
RANGES = [(start, 5000) for start in range(0, len(CONTENT) - 5000, 99_991)]


@pytest.fixture
def server(tmp_path: Path) -> Generator[RangeServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / SHARD).write_bytes(CONTENT)
    with range_server(folder) as served:
        yield served


@pytest.fixture
def cache(tmp_path: Path) -> Callable[..., BlockCache]:
    def make(**changes: object) -> BlockCache:
        values = {"folder": tmp_path / "cache", "limit_bytes": 1 << 30, "identity": "fetched"}
        return BlockCache(**values | changes)  # pyright: ignore[reportArgumentType]

    return make


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(remote_reads.time, "sleep", waited.append)
    return waited


def read_all(reader: ShardReader, *, seed: int = 0) -> None:
    """Read every range in a random order; each must be what the shard holds."""
    for start, length in random.Random(seed).sample(RANGES, len(RANGES)):
        assert reader.read(SHARD, start, length) == CONTENT[start : start + length]


def blocks(folder: Path) -> list[Path]:
    return [path for path in folder.glob("???/*") if len(path.name) == 64]


def test_each_block_is_asked_for_once_and_a_second_epoch_asks_for_nothing(
    server: RangeServer, cache: Callable[..., BlockCache]
) -> None:
    reader = ShardReader(server.url, cache=cache())

    read_all(reader)

    first, last = f"/{SHARD} bytes=0-{BLOCK_BYTES - 1}", f"bytes={3 * BLOCK_BYTES}-"
    assert len(server.asked) == NUM_BLOCKS
    assert first in server.asked
    assert any(last in line for line in server.asked)
    read_all(reader, seed=1)
    read_all(ShardReader(server.url, cache=cache()), seed=2)  # another process, a later run
    read_all(pickle.loads(pickle.dumps(reader)), seed=3)
    assert len(server.asked) == NUM_BLOCKS


def test_without_a_cache_exactly_what_is_wanted_is_read(server: RangeServer) -> None:
    read_all(ShardReader(server.url))

    assert sorted(server.asked) == sorted(f"/{SHARD} bytes={s}-{s + n - 1}" for s, n in RANGES)


def test_files_with_another_identity_have_blocks_of_their_own(
    server: RangeServer, cache: Callable[..., BlockCache]
) -> None:
    read_all(ShardReader(server.url, cache=cache()))
    changed = bytes(len(CONTENT))
    (server.folder / SHARD).write_bytes(changed)

    reader = ShardReader(server.url, cache=cache(identity="fetched again"))

    assert reader.read(SHARD, 10, 20) == bytes(20)


def test_a_share_of_the_blocks_is_kept_where_not_all_fit(
    server: RangeServer, cache: Callable[..., BlockCache]
) -> None:
    """What is not kept is read exactly, and again each epoch."""
    # The address, and so the port of this server, decides which: of so few, now and then all.
    halves = (cache(share=0.5, identity=f"fetch {n}") for n in range(100))
    half, kept = next(
        (half, kept)
        for half in halves
        for kept in [
            [half._path(f"{server.url}/{SHARD}", n) is not None for n in range(NUM_BLOCKS)]
        ]
        if 0 < sum(kept) < NUM_BLOCKS
    )
    reader = ShardReader(server.url, cache=half)

    read_all(reader)
    read_all(reader)

    def in_kept(start: int, length: int) -> bool:
        return all(kept[n] for n in {start // BLOCK_BYTES, (start + length - 1) // BLOCK_BYTES})

    rest = [f"/{SHARD} bytes={s}-{s + n - 1}" for s, n in RANGES if not in_kept(s, n)]
    whole = [line for line in server.asked if line not in rest]
    assert len(whole) == sum(kept)
    assert sorted(line for line in server.asked if line in rest) == sorted(rest * 2)
    assert len(blocks(half.folder)) == sum(kept)


def test_the_cache_never_holds_more_than_its_limit_and_drops_what_was_used_least_recently(
    server: RangeServer, cache: Callable[..., BlockCache]
) -> None:
    small = cache(limit_bytes=int(3.5 * BLOCK_BYTES))
    paths = [small._path(f"{server.url}/{SHARD}", number) for number in range(NUM_BLOCKS)]
    reader = ShardReader(server.url, cache=small)
    for number, when in ((0, 200), (1, 100), (2, 300)):
        reader.read(SHARD, number * BLOCK_BYTES, 10)
        path = paths[number]
        assert path is not None
        os.utime(path, (when, when))

    reader.read(SHARD, 3 * BLOCK_BYTES, 10)

    assert {path.name for path in blocks(small.folder)} == {
        path.name for path in (paths[0], paths[2], paths[3]) if path is not None
    }
    reader.read(SHARD, 0, 10)  # used: now the third is the oldest
    reader.read(SHARD, BLOCK_BYTES, 10)
    assert paths[0] in blocks(small.folder)
    assert paths[2] not in blocks(small.folder)
    for seed in range(3):
        read_all(reader, seed=seed)
        assert sum(path.stat().st_size for path in blocks(small.folder)) <= small.limit_bytes


def test_what_is_evicted_while_it_is_read_is_read_to_its_end(
    server: RangeServer, cache: Callable[..., BlockCache]
) -> None:
    """Threads read everything out of a cache with room for one block."""
    reader = ShardReader(server.url, cache=cache(limit_bytes=BLOCK_BYTES))
    failures: list[BaseException] = []

    def read(seed: int) -> None:
        try:
            read_all(reader, seed=seed)
        except BaseException as error:  # noqa: BLE001  # asserted below
            failures.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


def test_bytes_that_were_damaged_on_the_disk_are_asked_for_again(
    server: RangeServer, cache: Callable[..., BlockCache]
) -> None:
    kept = cache()
    reader = ShardReader(server.url, cache=kept)
    read_all(reader)
    for path in blocks(kept.folder):
        path.write_bytes(bytes(BLOCK_BYTES))
    assert reader.read(SHARD, 7, 100) == bytes(100)

    assert reader.read_anew(SHARD, 7, 100) == CONTENT[7:107]
    assert reader.read(SHARD, 7, 100) == CONTENT[7:107]


@pytest.mark.parametrize(
    ("holder", "call"), [(os, "fsync"), (Path, "mkdir")], ids=["at-a-block", "at-a-folder"]
)
def test_a_full_disk_keeps_blocks_out_and_the_reads_go_on(
    server: RangeServer,
    cache: Callable[..., BlockCache],
    monkeypatch: pytest.MonkeyPatch,
    holder: object,
    call: str,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(holder, call, full)
    kept = cache()

    read_all(ShardReader(server.url, cache=kept))

    assert blocks(kept.folder) == []


READER = """
import sys
from pathlib import Path
from openalign.files import block_cache
from openalign.files.block_cache import BLOCK_BYTES, BlockCache
from openalign.files.shards import ShardReader

url, folder, shard, then = sys.argv[1:]
if then == "hang":
    def hang(_):
        print("hangs", flush=True)
        sys.stdin.read()
    block_cache.os.fsync = hang
cache = BlockCache(folder=Path(folder), limit_bytes=1 << 30, identity="fetched")
reader = ShardReader(url, cache=cache)
for number in range(3):
    assert len(reader.read(shard, number * BLOCK_BYTES + 5, 50)) == 50
"""


def start_reader(server: RangeServer, folder: Path, then: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(READER), server.url, str(folder), SHARD, then]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_two_ranks_ask_once(server: RangeServer, tmp_path: Path) -> None:
    ranks = [start_reader(server, tmp_path / "cache", "end") for _ in range(2)]
    for rank in ranks:
        _, said = rank.communicate()
        assert rank.returncode == 0, said

    assert len(server.asked) == len(set(server.asked)) == 3


def test_a_writer_that_is_killed_leaves_nothing_wrong(
    server: RangeServer, tmp_path: Path, cache: Callable[..., BlockCache]
) -> None:
    killed = start_reader(server, tmp_path / "cache", "hang")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "hangs\n"
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert blocks(tmp_path / "cache") == []

    read_all(ShardReader(server.url, cache=cache()))

    assert sum(path.stat().st_size for path in blocks(tmp_path / "cache")) == len(CONTENT)
    unfinished = list((tmp_path / "cache").glob(f"*/{block_cache._UNFINISHED}"))
    assert len(unfinished) <= 1  # the killed one's, if its folder has got no other block


def test_a_store_that_fails_is_asked_again_after_longer_and_longer_waits(
    server: RangeServer, no_waits: list[float]
) -> None:
    server.failures_left = 4

    assert ShardReader(server.url).read(SHARD, 3, 9) == CONTENT[3:12]
    assert no_waits == [0.5, 1.0, 2.0, 4.0]


def test_a_store_that_goes_on_failing_is_an_error_that_names_shard_and_offset(
    server: RangeServer, no_waits: list[float], cache: Callable[..., BlockCache]
) -> None:
    server.failures_left = 5
    words = rf"{SHARD}: the bytes from 3 on could not be read, 5 times in a row: .*503"

    with pytest.raises(StageError, match=words):
        ShardReader(server.url).read(SHARD, 3, 9)
    with pytest.raises(InputError, match=r"other\.tar cannot be read: there is no such file"):
        ShardReader(server.url, cache=cache()).read("other.tar", 3, 9)
    assert len(no_waits) == 4


def test_a_store_that_refuses_access_is_not_asked_again(
    no_waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("403 Forbidden")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "cat_file", refuse)

    with pytest.raises(StageError, match=r"s\.tar may not be read: 403 Forbidden"):
        ShardReader("memory://refused").read("s.tar", 0, 9)
    assert no_waits == []


def test_a_server_without_ranges_is_refused(server: RangeServer) -> None:
    server.knows_ranges = False

    with pytest.raises(StageError, match=r"cannot be read at random: its server sends more"):
        ShardReader(server.url).read(SHARD, 3, 9)


def test_what_is_asked_for_ahead_is_read_at_once_and_within_bounds(server: RangeServer) -> None:
    """All requests meet in the server: were they one after the other, none would be answered."""
    reader = ShardReader(server.url)
    wanted = [Stretch(SHARD, number * 100, 50) for number in range(2 * NUM_REQUESTS)]
    server.hold = threading.Barrier(NUM_REQUESTS)

    reader.ask([*wanted, *wanted])
    wait_for(lambda: len(server.asked) == len(wanted), "the last answer")

    assert server.most_at_once == NUM_REQUESTS
    for shard, offset, length in wanted:
        assert reader.read(shard, offset, length) == CONTENT[offset : offset + length]
    assert len(server.asked) == len(wanted)
    server.hold = None
    reader.read(*wanted[0])
    assert len(server.asked) == len(wanted) + 1
    reader.close()


ASKER = """
import sys
from openalign.files.remote_reads import Stretch
from openalign.files.shards import ShardReader

url, shard = sys.argv[1:]
reader = ShardReader(url)
reader.ask([Stretch(shard, 0, 9)])
sys.stdin.read()
reader.close()
"""


def test_a_read_that_never_comes_back_holds_up_no_process(server: RangeServer) -> None:
    server.hold = threading.Barrier(2)  # one request waits in vain
    command = [sys.executable, "-c", textwrap.dedent(ASKER), server.url, SHARD]
    asker = subprocess.Popen(command, stdin=subprocess.PIPE)
    wait_for(lambda: server.most_at_once == 1, "the request")

    asker.communicate(timeout=PATIENCE_SECONDS)

    assert asker.returncode == 0
    assert server.asked == []
    server.hold.abort()


def test_an_error_of_what_was_asked_for_ahead_is_raised_where_it_is_read(
    server: RangeServer,
) -> None:
    reader = ShardReader(server.url)
    reader.ask([Stretch("other.tar", 0, 9)])

    with pytest.raises(InputError, match=r"other\.tar cannot be read"):
        reader.read("other.tar", 0, 9)
    reader.close()


def test_local_shards_are_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / SHARD).write_bytes(CONTENT)
    reader = ShardReader(str(tmp_path))

    reader.ask([Stretch("other.tar", 0, 9), Stretch(SHARD, 0, 9)])

    assert not reader.is_remote
    assert reader.read(SHARD, 1, 4) == reader.read_anew(SHARD, 1, 4) == CONTENT[1:5]
    reader.close()
