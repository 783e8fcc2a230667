"""A model folder's weights: named tensors, held against `config.json` before they are loaded.

The library fills what a file lacks with random numbers, and passes over what does not fit. Here
every tensor must be there, under its name and in its shape. Nothing is unpickled.

What the files' headers tell can be checked alone, before anything is copied or hashed.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import AlignModel, AlignTextConfig, AlignTextModel

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.folder import Folder, reachable
from openalign.files.lfs import POINTER, refuse_pointer
from openalign.train.model.architecture import Architecture, TextConfig, read_architecture
from openalign.train.saved_files import CONFIG_FILE, INDEX_FILE, weight_files, weight_map

_TOWER = "text_model."
_POOLER = f"{_TOWER}pooler."
_COUNTER = ".num_batches_tracked"
_UNUSED = frozenset({f"{_TOWER}embeddings.{name}" for name in ("position_ids", "token_type_ids")})
"""Buffers that older versions of the library saved. They count positions, and nothing else."""

_ANY_NAME = "text_projection.weight"
"""A tensor that every ALIGN has: where it stands under a longer name, the rest is a prefix."""

_BERT_PARTS = ("embeddings.", "encoder.")
"""What an ALIGN's text tower has of a BERT, under the same names."""

_BERT_PREFIX = "bert."
"""Where a BERT with a head keeps its encoder."""

_OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}
"""What old files call the parts of a norm."""

_DTYPES = {torch.float32: ("F32", "F16", "BF16"), torch.int64: ("I64",)}
_SHOWN = 3
_LENGTH_BYTES = 8
"""The length of the length of a file's header, by the format."""

_MOST_HEADER_BYTES = 100_000_000
"""The longest header that the format allows."""

_LAYERS_BUILT = 256
"""So many layers are described fast, whatever the file holds: to say which tensors it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SavedTensor:
    """A tensor in a file, by the file's header."""

    file: str
    name: str
    """What the file calls it."""

    dtype: str
    shape: tuple[int, ...]


_ReadHeader = Callable[[Folder, str], Mapping[str, _SavedTensor]]
"""Returns the tensors of a file, by name."""


def load_align(folder: Folder) -> AlignModel:
    """Return a folder's model: fp32, on the CPU, in evaluation mode, without the text pooler.

    A text's feature is its [CLS] token (ALIGN §4.1), so nothing uses the pooler.

    Raises:
        InputError: the files are not those of one whole ALIGN; names what is missing or wrong.
    """
    align, saved = _checked_align(folder, _header)
    wanted = align.state_dict()
    align.load_state_dict(_tensors(folder, saved, wanted), assign=True)
    embeddings = align.text_model.embeddings  # two buffers of it are in no file
    positions = torch.arange(embeddings.position_embeddings.num_embeddings).expand(1, -1)
    embeddings.register_buffer("position_ids", positions, persistent=False)
    embeddings.register_buffer("token_type_ids", torch.zeros_like(positions), persistent=False)
    return align.eval()


def check_align(folder: Folder) -> None:
    """Find what `load_align` would refuse, but for numbers that are not finite.

    Raises:
        InputError: the files are not those of one whole ALIGN; names what is missing or wrong.
    """
    _checked_align(folder, _header_from_afar)


def load_bert(folder: Folder, text: TextConfig) -> dict[str, Tensor]:
    """Return the embeddings and the encoder of a BERT's folder, by an ALIGN's names.

    Its pooler and its heads are left out.

    Raises:
        InputError: the files are not those of one whole BERT; names what is missing or wrong.
    """
    return _tensors(folder, *_checked_bert(folder, text, _header))


def check_bert(folder: Folder, text: TextConfig) -> None:
    """Find what `load_bert` would refuse, but for numbers that are not finite.

    Raises:
        InputError: the files are not those of one whole BERT; names what is missing or wrong.
    """
    _checked_bert(folder, text, _header_from_afar)


def _checked_align(
    folder: Folder, header: _ReadHeader
) -> tuple[AlignModel, Mapping[str, _SavedTensor]]:
    """Return a folder's model without its numbers, and the tensors that hold them."""
    names = weight_files(folder)
    architecture = read_architecture(folder)
    saved = _headers(folder, names, header)
    if architecture.num_layers > max(len(saved), _LAYERS_BUILT):
        raise InputError(
            f"{folder.url_of(names[0])} holds {len(saved)} tensors; {CONFIG_FILE} describes "
            f"{architecture.num_layers} layers and blocks, each of which has several"
        )
    align = _without_weights(folder, architecture)
    _check(folder.url_of(names[0]), saved, align.state_dict())
    return align, saved


def _checked_bert(
    folder: Folder, text: TextConfig, header: _ReadHeader
) -> tuple[Mapping[str, _SavedTensor], Mapping[str, Tensor]]:
    """Return the tensors of a BERT's tower, and what they are needed for, by an ALIGN's names."""
    names = weight_files(folder)
    found = _headers(folder, names, header)
    saved = {_name_in_tower(name): tensor for name, tensor in found.items()}
    saved = {
        n: t for n, t in saved.items() if n.startswith(_BERT_PARTS) and _TOWER + n not in _UNUSED
    }
    with torch.device("meta"):
        tower = AlignTextModel(
            AlignTextConfig(**msgspec.structs.asdict(text)), add_pooling_layer=False
        )
    wanted = tower.state_dict()
    _check(folder.url_of(names[0]), saved, wanted)
    return saved, wanted


def _name_in_tower(name: str) -> str:
    name = name.removeprefix(_BERT_PREFIX)
    for old, new in _OLD_NAMES.items():
        name = name.removesuffix(old) + new if name.endswith(old) else name
    return name


def _without_weights(folder: Folder, architecture: Architecture) -> AlignModel:
    url = folder.url_of(CONFIG_FILE)
    try:
        with torch.device("meta"):
            align = AlignModel(architecture.to_library())
    except Exception as error:  # what the checks let through is an odd combination of sizes
        raise InputError(f"{url} describes no model that can be built: {error}") from error
    last: Any = align.vision_model.encoder.blocks[-1]
    width = last.projection.project_conv.out_channels
    if width != architecture.projection_dim:
        raise InputError(
            f"{url}: `projection_dim` {architecture.projection_dim} must be the width of the image "
            f"tower's last block, {width}: both towers' embeddings are compared"
        )
    align.text_model.pooler = None
    return align


def _headers(folder: Folder, names: Sequence[str], header: _ReadHeader) -> dict[str, _SavedTensor]:
    """Return all tensors of the files, by name; no tensor is read."""
    shard_of = weight_map(folder) if names[0] == INDEX_FILE else None
    saved: dict[str, _SavedTensor] = {}
    for file in names if shard_of is None else names[1:]:
        found = header(folder, file)
        saved |= found
        listed = {name for name, of in (shard_of or {}).items() if of == file}
        if shard_of is not None and listed != found.keys():
            raise InputError(
                f"{folder.url_of(file)} does not hold what {INDEX_FILE} says: "
                + _counted({"missing": listed - found.keys(), "unlisted": found.keys() - listed})
            )
    return saved


def _header(folder: Folder, file: str) -> Mapping[str, _SavedTensor]:
    """Return the tensors of a file that is read."""
    return _tensors_listed(folder.path(file), file, folder.url_of(file))


def _tensors_listed(path: Path, file: str, url: str) -> Mapping[str, _SavedTensor]:
    try:
        with safe_open(path, framework="pt") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            return {
                name: _SavedTensor(
                    file=file, name=name, dtype=t.get_dtype(), shape=tuple(t.get_shape())
                )
                for name, t in slices.items()
            }
    except (SafetensorError, OSError) as error:
        raise InputError(f"{url} is no file of weights: {error}") from error


def _header_from_afar(folder: Folder, file: str) -> Mapping[str, _SavedTensor]:
    """Return the tensors of a file of which nothing but the header is read.

    A file of safetensors is the header's length in 8 bytes, the header, and the tensors. The
    library judges it: it is given a file that has a hole where the tensors are.
    """
    url = folder.url_of(file)
    with reachable(url):
        try:
            num_bytes = storage.size_of(url)
        except InputError:
            return _header(folder, file)  # the whole file tells
        with storage.open_read(url) as source:  # some servers answer a range with all there is
            start = source.read(len(POINTER))
            refuse_pointer(url, start)
            length = int.from_bytes(start[:_LENGTH_BYTES], "little")
            more = min(length, _MOST_HEADER_BYTES) - (len(start) - _LENGTH_BYTES)
            start += source.read(max(more, 0))
        with tempfile.NamedTemporaryFile(prefix="openalign-", suffix=".safetensors") as likeness:
            likeness.write(start[: _LENGTH_BYTES + length])
            likeness.truncate(num_bytes)  # which fails where a server tells a length that none has
            likeness.flush()
            return _tensors_listed(Path(likeness.name), file, url)


def _check(url: str, saved: Mapping[str, _SavedTensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not exactly those of the architecture, harmless differences aside."""
    prefix = _prefix(saved)
    if prefix:
        raise InputError(
            f"{url}: the names of all {len(saved)} tensors begin with `{prefix}`, such as "
            f"`{prefix}{_ANY_NAME}`",
            hint="save the `AlignModel` itself with `save_pretrained`, not a module around it",
        )
    found = {n: t for n, t in saved.items() if not n.startswith(_POOLER) and n not in _UNUSED}
    needed = {name for name in wanted if not name.endswith(_COUNTER)}
    faults = {
        "missing": needed - found.keys(),
        "unexpected": found.keys() - wanted.keys(),
        "of another shape": {
            f"{name} {list(found[name].shape)}, not {list(wanted[name].shape)}"
            for name in found.keys() & wanted.keys()
            if not _fits(name, found[name].shape, wanted[name])
        },
        "of another type": {
            f"{name} {found[name].dtype}, not {' or '.join(_DTYPES[wanted[name].dtype])}"
            for name in found.keys() & wanted.keys()
            if found[name].dtype not in _DTYPES[wanted[name].dtype]
        },
    }
    if any(faults.values()):
        hint = "the two files are not of one model, or the weights are not whole; save the model "
        hint += "again with `save_pretrained`"
        if {tensor.dtype for tensor in found.values()} == {"F64"}:
            hint = "save the model again in fp32, as `model.float().save_pretrained(FOLDER)` does"
        raise InputError(
            f"{url} does not hold the {len(needed)} tensors of the model that {CONFIG_FILE} "
            f"describes: {_counted(faults)}",
            hint=hint,
        )


def _prefix(saved: Mapping[str, _SavedTensor]) -> str:
    longer = [name for name in saved if name.endswith(f".{_ANY_NAME}")]
    prefix = longer[0].removesuffix(_ANY_NAME) if longer else ""
    return prefix if all(name.startswith(prefix) for name in saved) else ""


def _fits(name: str, shape: tuple[int, ...], wanted: Tensor) -> bool:
    return shape == tuple(wanted.shape) or (name == "temperature" and shape == (1,))


def _counted(faults: Mapping[str, set[str]]) -> str:
    """Return how many names there are of each fault, and the first ones."""
    parts: list[str] = []
    for fault, names in faults.items():
        first = ", ".join(sorted(names)[:_SHOWN])
        more = ", ..." if len(names) > _SHOWN else ""
        parts += [f"{len(names)} {fault} ({first}{more})"] if names else []
    return "; ".join(parts)


def _tensors(
    folder: Folder, saved: Mapping[str, _SavedTensor], wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Read the tensors that are wanted, as fp32; half precision becomes the same numbers."""
    counters = [name for name in wanted if name.endswith(_COUNTER)]  # may be missing
    read = {name: torch.zeros_like(wanted[name], device="cpu") for name in counters}
    for file in sorted({tensor.file for tensor in saved.values()}):
        with safe_open(folder.path(file), framework="pt") as tensors:
            for name in sorted(n for n in wanted if n in saved and saved[n].file == file):
                # A copy: what the file's own bytes back would change or vanish with the file.
                tensor = tensors.get_tensor(saved[name].name).to(wanted[name].dtype, copy=True)
                if not torch.isfinite(tensor).all():
                    raise InputError(
                        f"{folder.url_of(file)}: the tensor {saved[name].name} holds NaN or "
                        "infinity",
                        hint="the model is broken: its training diverged, or the file is damaged",
                    )
                read[name] = tensor.reshape(wanted[name].shape)
    return read
