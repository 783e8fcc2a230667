"""Which files of a model's folder a model is made of. Loading it is the business of `encoder`."""

from openalign.errors import InputError
from openalign.files import storage

_ENDINGS = (".json", ".safetensors", ".txt")
"""Settings, weights and vocabularies. Pickled weights are never loaded."""

_HINT = (
    "name a folder that `openalign train` or `save_pretrained` wrote, or one of the hub, as "
    "hf://kakaobrain/align-base"
)


def model_files(folder: str) -> list[str]:
    """Return the names of the files directly in a folder that a model can be made of, in order.

    Raises:
        InputError: there are none, or the folder cannot be reached.
    """
    storage.check_reachable(folder)
    names = storage.list_names(folder) if storage.exists(folder) else []
    found = [name for name in names if name.endswith(_ENDINGS)]
    if not found:
        problem = "it holds no model" if names else "there is no such folder"
        raise InputError(f"{folder} is not a model folder: {problem}", hint=_HINT)
    if not storage.exists(storage.join(folder, found[0])):  # a file is listed as itself
        raise InputError(f"{folder} is a file, a model is a folder", hint=_HINT)
    return found
