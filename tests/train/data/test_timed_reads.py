"""Reads that do not come back: opening a FIFO waits for a writer, as a dead file server does."""

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_training import make_corpus

from openalign.errors import StageError
from openalign.files.shards import ShardReader
from openalign.train.config import Augmentation
from openalign.train.data.index import ImagePlace
from openalign.train.data.pairs import TrainingSet
from openalign.train.data.preprocess import SPECIAL_TOKENS, Preprocess, build_tokenizer
from openalign.train.data.timed_reads import TimedReads

PLACE = ImagePlace(shard="stuck.tar", offset=512, length=4096, xxh3=0)


@contextmanager
def stuck_read(reads: TimedReads, fifo: Path) -> Generator[threading.Thread]:
    """Have a thread read from a FIFO that nobody writes to; let it go in the end."""
    os.mkfifo(fifo)
    thread = threading.Thread(target=_read, args=(reads,), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        release(fifo)
        thread.join(10)
        assert not thread.is_alive()


def _read(reads: TimedReads) -> None:
    with pytest.raises(OSError, match="Illegal seek"):  # a FIFO has no places
        reads.read(PLACE)


def release(fifo: Path) -> None:
    """Let all go that wait for a FIFO's writer."""
    os.close(os.open(fifo, os.O_RDWR))


def test_a_read_that_takes_too_long_is_named(tmp_path: Path) -> None:
    reads = TimedReads(ShardReader(str(tmp_path)), timeout_seconds=0.2)

    with (
        stuck_read(reads, tmp_path / "stuck.tar"),
        pytest.raises(StageError, match=r"could not be read within 0\.2 s") as told,
    ):
        until_raised(reads)

    assert str(told.value).startswith("stuck.tar: the 4,096 bytes from 512 on")
    assert told.value.hint is not None
    assert "train.read_timeout_seconds" in told.value.hint
    reads.check()  # it has ended


def until_raised(reads: TimedReads) -> None:
    for _ in range(200):
        reads.check()
        time.sleep(0.05)


def test_a_read_may_take_as_long_as_it_takes(tmp_path: Path) -> None:
    patient = TimedReads(ShardReader(str(tmp_path)), timeout_seconds=None)

    with stuck_read(patient, tmp_path / "stuck.tar") as thread:
        time.sleep(0.3)
        patient.check()
        assert thread.is_alive()


def test_a_read_in_time_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "stuck.tar").write_bytes(bytes(range(256)) * 32)
    reads = TimedReads(ShardReader(str(tmp_path)), timeout_seconds=30)

    assert reads.read(PLACE) == (bytes(range(256)) * 32)[512 : 512 + 4096]
    reads.check()


@pytest.mark.parametrize("image_cache_mb", [0, 8])
def test_a_batch_does_not_wait_for_ever(tmp_path: Path, image_cache_mb: int) -> None:
    corpus = make_corpus(tmp_path)
    shard = min(Path(corpus.shards).glob("*.tar"))
    shard.unlink()
    os.mkfifo(shard)
    preprocess = Preprocess(resize_px=36, crop_px=32, max_tokens=16)
    data = TrainingSet(
        corpus.mapped(),
        shards=ShardReader(corpus.shards),
        preprocess=preprocess,
        tokenizer=build_tokenizer([*SPECIAL_TOKENS, "a"], preprocess),
        augmentation=Augmentation(),
        seed=0,
        decode_threads=2,
        image_cache_mb=image_cache_mb,
        read_timeout_seconds=0.3,
        replace_after=16,
    )

    with pytest.raises(StageError, match=rf"^{shard.name}: the .* could not be read within 0\.3 s"):
        next(data.batches(0, 1, global_batch_size=16, start=0, num_pairs=16))

    data.close()
    release(shard)
