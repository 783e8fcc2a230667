"""What is asked for where a rank's device is CUDA; a stand-in takes the place of pinned memory.

Whether a GPU copies at the side is seen in test_gpu.py, where there is one.
"""

from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_training import Corpus, make_corpus, tiny_config
from torch import Tensor

from openalign.files.shards import ShardReader
from openalign.train import loop, passes
from openalign.train.block_shares import block_share
from openalign.train.data.pairs import Batch
from openalign.train.data.preprocess import SPECIAL_TOKENS
from openalign.train.ranks import RankGroup
from openalign.train.state import open_pairs

CUDA = torch.device("cuda")


class Pinned(Tensor):
    """Stands for a tensor in pinned memory; notes where copies of it are asked for."""

    copies: list[tuple[torch.device, bool]]

    def to(self, device: Any, *, non_blocking: bool = False) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return what a copy on the device would be."""
        self.copies.append((device, non_blocking))
        return self.as_subclass(Tensor)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.device, bool]]:
    """Let this machine seem to have pinned memory; return the copies out of it."""
    made = list[tuple[torch.device, bool]]()
    monkeypatch.setattr(Pinned, "copies", made, raising=False)
    empty = torch.empty

    def allocate(*given: Any, pin_memory: bool = False, **named: Any) -> Tensor:
        found = empty(*given, **named)
        return found.as_subclass(Pinned) if pin_memory else found

    monkeypatch.setattr(torch, "empty", allocate)
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor.as_subclass(Pinned))
    return made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


CONFIG = tiny_config(same_image_negatives="mask")
"""Images are warped: with their bytes, texts, warps and numbers go to the device."""


def first_batch(corpus: Corpus, device: torch.device) -> Batch:
    shards, vocabulary = ShardReader(corpus.shards), [*SPECIAL_TOKENS, "a"]
    pairs = open_pairs(CONFIG, corpus.mapped(), vocabulary, shards, device=device)
    with closing(pairs):
        return pairs.batch(0, start=0, stop=16)


def parts(batch: Batch) -> list[Tensor]:
    """Return all tensors that a step has of a batch."""
    pixels: Any = batch.pixels
    return [pixels.images, pixels.warps, *batch.tokens, batch.image_ids]


def used(batch: Batch, device: torch.device) -> list[Tensor]:
    """Return what the towers and the loss are given of a batch."""
    given: list[Tensor] = []

    def engine(pixels: Any, ids: Tensor, mask: Tensor, *, passes: object) -> None:
        given.extend([pixels.images, pixels.warps, ids, mask])

    passes.embed(engine, batch, block_share(CONFIG, rank=0, world_size=1), CONFIG, device)
    ranks = RankGroup(rank=0, world_size=1, device=device)
    state: Any = SimpleNamespace(config=CONFIG, ranks=ranks)
    ids = loop._image_ids(state, batch)
    assert ids is not None
    return [*given, ids]


def test_a_batch_for_a_gpu_is_pinned_and_no_copy_of_it_is_waited_for(
    corpus: Corpus, copies: list[tuple[torch.device, bool]]
) -> None:
    batch = first_batch(corpus, CUDA)
    on_cpu = first_batch(corpus, torch.device("cpu"))

    given = used(batch, CUDA)

    assert [type(part) for part in parts(batch)] == [Pinned] * 5
    assert copies == [(CUDA, True)] * 5
    for found, expected in zip(given, parts(on_cpu), strict=True):
        assert torch.equal(found, expected)


def test_a_batch_for_a_cpu_is_not_pinned(
    corpus: Corpus, copies: list[tuple[torch.device, bool]]
) -> None:
    batch = first_batch(corpus, torch.device("cpu"))

    used(batch, torch.device("cpu"))

    assert [type(part) for part in parts(batch)] == [Tensor] * 5
    assert copies == []
