"""What a rank puts into a checkpoint, and takes from one, through torch.distributed.checkpoint.

A tensor is written flattened, as pieces that each rank has of it. Their places are kept, so that
another number of ranks, or another ZeRO stage, reads the elements that it needs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import (
    LoadPlan,
    SavePlan,
    TensorWriteData,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

from openalign.train.checkpoints.manifest import SavedParameter
from openalign.train.model.tensors import trained_parameters, unmoved_tensors
from openalign.train.ranks import RankGroup
from openalign.train.zero import (
    WEIGHT,
    LocalPiece,
    local_pieces,
    show_weights,
    whole_parameter,
)

_BUFFER = "buffer"
"""The part of tensors that no optimizer moves; frozen parameters are among them."""


class ParameterChunk(NamedTuple):
    """Some elements of a flattened tensor."""

    key: str
    """The tensor's name in the checkpoint, as `exp_avg/align.text_projection.weight`."""

    num_elements: int
    """Of the whole tensor."""

    offset: int
    values: Tensor
    """One-dimensional."""


class Snapshot(NamedTuple):
    """What a rank writes, copied to the CPU: training may go on meanwhile."""

    chunks: list[ParameterChunk]
    parameters: dict[str, SavedParameter]
    """Those that this rank has a part of."""

    buffers: dict[str, list[int]]
    """Shapes by name, of frozen parameters too; all ranks have the same."""


def snapshot(engine: Any, optimizer: Any, ranks: RankGroup) -> Snapshot:
    """Copy this rank's share of weights and of what the optimizer keeps of them; all ranks call it.

    Buffers and frozen parameters are whole, and rank 0's count.
    """
    pieces = local_pieces(engine, optimizer)
    parameters = {
        piece.name: SavedParameter(shape=list(piece.shape), step=int(piece.step))
        for piece in pieces
    }
    if optimizer.layout is None:  # stage 0: every rank has everything, and writes a part of it
        pieces = [_share(piece, ranks) for piece in pieces]
    chunks = [
        ParameterChunk(chunk.key, chunk.num_elements, chunk.offset, _copied(chunk.values))
        for piece in pieces
        for chunk in _chunks_of(piece, (WEIGHT, *optimizer.kept))
    ]
    shapes: dict[str, list[int]] = {}
    for name, tensor in unmoved_tensors(engine.module).items():
        whole = whole_parameter(tensor)  # every rank: stage 3 gathers what is frozen
        shapes[name] = list(whole.shape)
        if ranks.rank == 0:
            chunks.append(
                ParameterChunk(f"{_BUFFER}/{name}", whole.numel(), 0, _copied(whole.view(-1)))
            )
    return Snapshot(chunks, parameters, shapes)


def write(
    chunks: Sequence[ParameterChunk], folder: Path, *, group: Any, moved: Callable[[], None]
) -> None:
    """Write every rank's chunks into a folder, flushed to disk; all ranks of the group call it.

    `moved` is called for each chunk of this rank.

    Raises:
        dcp.api.CheckpointException: a rank could not write; on every rank.
    """
    writer = dcp.FileSystemWriter(folder, sync_files=True)
    dcp.save({}, storage_writer=writer, planner=_Writing(chunks, moved), process_group=group)


def load_towers(towers: torch.nn.Module, folder: Path, *, part: str = WEIGHT) -> None:
    """Put a checkpoint's weights and buffers into towers that no engine holds yet.

    `part` is what takes the place of the weights that are trained, such as their average.
    """
    whole = {f"{part}/{name}": p.detach() for name, p in trained_parameters(towers).items()}
    unmoved = unmoved_tensors(towers)
    whole |= {f"{_BUFFER}/{name}": tensor.detach() for name, tensor in unmoved.items()}
    _read(
        [ParameterChunk(key, tensor.numel(), 0, tensor.view(-1)) for key, tensor in whole.items()],
        folder,
    )


def load_weights(engine: Any, optimizer: Any, folder: Path) -> None:
    """Put a checkpoint's weights into this rank's shards, and from there into the towers."""
    pieces = local_pieces(engine, optimizer)
    _read([chunk for piece in pieces for chunk in _chunks_of(piece, (WEIGHT,))], folder)
    show_weights(engine, optimizer, WEIGHT)


def load_moments(
    engine: Any, optimizer: Any, folder: Path, parameters: Mapping[str, SavedParameter]
) -> None:
    """Put what the optimizer keeps, and the numbers of updates, into this rank's shards."""
    pieces = local_pieces(engine, optimizer)
    for piece in pieces:
        piece.step.fill_(parameters[piece.name].step)
    _read([chunk for piece in pieces for chunk in _chunks_of(piece, optimizer.kept)], folder)


def _chunks_of(piece: LocalPiece, parts: Sequence[str]) -> list[ParameterChunk]:
    num_elements = math.prod(piece.shape)
    return [
        ParameterChunk(f"{part}/{piece.name}", num_elements, piece.offset, piece.values[part])
        for part in parts
    ]


def _share(piece: LocalPiece, ranks: RankGroup) -> LocalPiece:
    """Return the part of a whole parameter that this rank writes for all."""
    num_elements = piece.values[WEIGHT].numel()
    size = math.ceil(num_elements / ranks.world_size)
    offset = min(ranks.rank * size, num_elements)
    size = min(size, num_elements - offset)
    return LocalPiece(
        name=piece.name,
        shape=piece.shape,
        offset=offset,
        values={name: values.narrow(0, offset, size) for name, values in piece.values.items()},
        step=piece.step,
    )


def _copied(values: Tensor) -> Tensor:
    return values.detach().to("cpu", copy=True)


def _read(chunks: Sequence[ParameterChunk], folder: Path) -> None:
    """Fill the chunks' values; each rank reads for itself, without the others."""
    reader = dcp.FileSystemReader(folder)
    planner = _Reading(chunks)
    metadata = reader.read_metadata()
    planner.set_up_planner({}, metadata, is_coordinator=True)
    reader.set_up_storage_reader(metadata, is_coordinator=True)
    reader.read_data(planner.create_local_plan(), planner).wait()


def _by_place(chunks: Sequence[ParameterChunk]) -> dict[tuple[str, int], ParameterChunk]:
    return {(chunk.key, chunk.offset): chunk for chunk in chunks if chunk.values.numel()}


def _place(chunk: ParameterChunk) -> ChunkStorageMetadata:
    return ChunkStorageMetadata(torch.Size([chunk.offset]), chunk.values.size())


def _found_at(index: MetadataIndex) -> tuple[str, int]:
    assert index.offset is not None, f"{index.fqn} was written whole"
    return index.fqn, index.offset[0]


class _Writing(DefaultSavePlanner):
    """Names this rank's chunks; what the base does with the plans of all stays."""

    def __init__(self, chunks: Sequence[ParameterChunk], moved: Callable[[], None]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._chunks, self._moved = _by_place(chunks), moved

    def create_local_plan(self) -> SavePlan:
        self.plan = SavePlan([_write_item(chunk) for chunk in self._chunks.values()])
        return self.plan

    def lookup_object(self, index: MetadataIndex) -> Tensor:
        self._moved()
        return self._chunks[_found_at(index)].values


def _write_item(chunk: ParameterChunk) -> WriteItem:
    return WriteItem(
        index=MetadataIndex(chunk.key, torch.Size([chunk.offset])),
        type=WriteItemType.SHARD,
        tensor_data=TensorWriteData(
            chunk=_place(chunk),
            properties=TensorProperties(dtype=chunk.values.dtype),
            size=torch.Size([chunk.num_elements]),
        ),
    )


class _Reading(DefaultLoadPlanner):
    """Finds what was written of this rank's chunks, however it was cut then."""

    def __init__(self, chunks: Sequence[ParameterChunk]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._chunks = _by_place(chunks)

    def set_up_planner(
        self,
        state_dict: dict[str, Any],  # noqa: ARG002  # the interface's own
        metadata: Metadata | None = None,
        is_coordinator: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        self.metadata, self.is_coordinator = metadata, is_coordinator

    def create_local_plan(self) -> LoadPlan:
        assert self.metadata is not None
        saved = self.metadata.state_dict_metadata
        items: list[Any] = []
        for chunk in self._chunks.values():
            tensor = saved[chunk.key]
            assert isinstance(tensor, TensorStorageMetadata)
            assert tensor.size == torch.Size([chunk.num_elements]), chunk.key
            items += create_read_items_for_chunk_list(chunk.key, tensor, [_place(chunk)])
        return LoadPlan(items)

    def lookup_tensor(self, index: MetadataIndex) -> Tensor:
        return self._chunks[_found_at(index)].values
