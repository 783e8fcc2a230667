"""Which files of a model's folder a model is made of. Loading it is the business of `encoder`."""

from openalign.errors import InputError
from openalign.files import storage

_ENDINGS = (".json", ".safetensors", ".txt")
"""Settings, weights and vocabularies. Pickled weights are never loaded."""

_CONFIG = "config.json"
_HINT = (
    "name a folder that `openalign train` or `save_pretrained` wrote, or one of the hub, as "
    "hf://kakaobrain/align-base"
)


def model_files(folder: str) -> list[str]:
    """Return the names of the files directly in a folder that a model can be made of, in order.

    Raises:
        InputError: it is not the folder of a model, or cannot be reached.
    """
    storage.check_reachable(folder)
    names = storage.list_names(folder) if storage.exists(folder) else []
    if names and not storage.exists(storage.join(folder, names[0])):  # it lists as itself
        raise InputError(f"{folder} is a file, a model is a folder", hint=_HINT)
    if _CONFIG not in names:
        problem = f"it has no {_CONFIG}" if names else "there is no such folder"
        raise InputError(f"{folder} is not a model folder: {problem}", hint=_HINT)
    return [name for name in names if name.endswith(_ENDINGS)]
