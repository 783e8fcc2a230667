"""The names of the files in a model's folder, and which of them make up the model.

config.json                                       the sizes of both towers
model.safetensors, or an index and its shards     the weights
tokenizer.json, or vocab.txt                      the vocabulary
tokenizer_config.json                             how texts are cut, and how many tokens stay
preprocess.json                                   what images go through, in our exports
processor_config.json, preprocessor_config.json   what images go through, as Hugging Face writes it
"""

import shlex
from collections.abc import Sequence

import msgspec

from openalign.errors import InputError
from openalign.files.folder import Folder
from openalign.files.lfs import refuse_pointer, start_of

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
TOKENIZER_FILE = "tokenizer.json"
VOCABULARY_FILE = "vocab.txt"
TOKENIZER_SETTINGS_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
PREPROCESS_FILE = "preprocess.json"
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
"""The newer form holds the image processor's options in a part of its own."""

_ADAPTER_FILE = "adapter_config.json"
_PICKLED_FILE = "pytorch_model.bin"
_PICKLED_INDEX_FILE = "pytorch_model.bin.index.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_HINT = "run `openalign train` first, or name a Hugging Face ALIGN folder"


class _Index(msgspec.Struct, frozen=True):
    weight_map: dict[str, str]


def model_files(folder: Folder) -> list[str]:
    """Return the names of all files that reading a model may open. Only an index is read for it.

    Raises:
        InputError: the folder is not that of a model, or lacks a part of it.
    """
    return [CONFIG_FILE, *weight_files(folder), *processor_files(folder)]


def processor_files(folder: Folder) -> list[str]:
    """Return the names of the files that say what texts and images go through.

    Raises:
        InputError: the vocabulary is not there.
    """
    of_texts = (TOKENIZER_SETTINGS_FILE, SPECIAL_TOKENS_FILE)
    optional = (*of_texts, PREPROCESS_FILE, *PROCESSOR_FILES)
    return [tokenizer_file(folder), *(name for name in optional if name in folder.names)]


def weight_files(folder: Folder) -> list[str]:
    """Return the names of the files that hold the weights, the index of shards first.

    `model.safetensors` goes before an index, as in the library. Other files are not looked at.

    Raises:
        InputError: they are not there, only pickled, or pointers; the hint tells what to do.
    """
    if _ADAPTER_FILE in folder.names:
        raise InputError(
            f"{folder.url_of(_ADAPTER_FILE)}: adapters are not read",
            hint="merge the adapter into the model's weights, and name the folder of the result",
        )
    if WEIGHTS_FILE in folder.names:
        found = [WEIGHTS_FILE]
    elif INDEX_FILE in folder.names:
        found = [INDEX_FILE, *sorted(set(weight_map(folder).values()))]
    else:
        _refuse_pickled(folder)
        found = []
    missing = [name for name in (CONFIG_FILE, *found) if name not in folder.names]
    if missing or not found:
        raise _lacks(folder, [*missing, *([] if found else [WEIGHTS_FILE])])
    if folder.is_local:  # as clones are; early, for the weights themselves are read late
        for url in map(folder.url_of, found):
            refuse_pointer(url, start_of(url))
    return found


def weight_map(folder: Folder) -> dict[str, str]:
    """Return the shard that each tensor lies in, by the index of shards.

    Raises:
        InputError: the index is not one, or leads out of the folder.
    """
    found = folder.read_json(INDEX_FILE, _Index).weight_map
    for file in found.values():
        if "/" in file or "\\" in file or not file.endswith(".safetensors"):
            raise InputError(
                f"{folder.url_of(INDEX_FILE)}: a shard must be the name of a .safetensors file in "
                f"the same folder, got {file!r}"
            )
    return found


def tokenizer_file(folder: Folder) -> str:
    """Return the name of the file that holds the vocabulary.

    Raises:
        InputError: there is none.
    """
    for name in (TOKENIZER_FILE, VOCABULARY_FILE):
        if name in folder.names:
            return name
    raise InputError(
        f"{folder.url} has no vocabulary: neither {TOKENIZER_FILE} nor {VOCABULARY_FILE} is there",
        hint="save the model's tokenizer and image processor beside its weights, as their "
        "`save_pretrained` does; to evaluate, a folder that holds them can be named: --set "
        "evaluate.processor=FOLDER",
    )


def _lacks(folder: Folder, names: Sequence[str]) -> InputError:
    return InputError(
        f"{folder.url} is not a model folder: {', '.join(names)} cannot be found", hint=_HINT
    )


def _refuse_pickled(folder: Folder) -> None:
    pickled = sorted(name for name in folder.names if name.endswith(_PICKLED))
    preferred = [n for n in (_PICKLED_FILE, _PICKLED_INDEX_FILE) if n in folder.names]
    if not (pickled or preferred):
        return
    name = [*preferred, *pickled][0]
    where = folder.url if folder.is_local else "."
    first = "" if folder.is_local else "copy the folder to this machine and go there; "
    raise InputError(
        f"{folder.url_of(name)}: pickled weights are not read, because a pickle can run any code",
        hint=f"{first}convert them to {WEIGHTS_FILE}, once: {_conversion(where, name)}",
    )


def _conversion(path: str, name: str) -> str:
    """Return the command that writes `model.safetensors` beside a pickled file of a folder."""
    if name == _PICKLED_INDEX_FILE:
        code = (
            "from transformers import AlignModel; "
            f"AlignModel.from_pretrained({path!r}).save_pretrained({path!r})"
        )
    else:
        code = (
            "import torch; from safetensors.torch import save_file; "
            f"w = torch.load({f'{path}/{name}'!r}, map_location='cpu', weights_only=True); "
            "save_file({k: v.clone().contiguous() for k, v in w.items()}, "
            f"{f'{path}/{WEIGHTS_FILE}'!r}, metadata={{'format': 'pt'}})"
        )
    return f"python -c {shlex.quote(code)}"
