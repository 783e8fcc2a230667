"""A folder of a saved ALIGN model: loaded, refused, or judged by its weights' headers alone."""

from pathlib import Path

import pytest
from transformers import AlignModel

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.folder import opened
from openalign.train.model.weights import check_align, load_align


def load(folder: Path) -> AlignModel:
    with opened(str(folder)) as files:
        return load_align(files)


def refusal(folder: Path) -> str:
    """Return why a folder is refused as it is loaded."""
    with pytest.raises(InputError) as caught:
        load(folder)
    return str(caught.value)


def refused_unread(url: str) -> str:
    """Return why a folder is refused of whose weights nothing but the headers is read."""
    with opened(url) as files:
        with pytest.raises(InputError) as caught:
            check_align(files)
        assert not any(name.endswith(".safetensors") for name in files.sha256)
    return str(caught.value)


def in_store(folder: Path) -> str:
    """Copy a folder to a store, and return its URL there."""
    url = f"memory://{folder.parent.name}/{folder.name}"
    for path in folder.iterdir():
        storage.write_bytes(f"{url}/{path.name}", path.read_bytes())
    return url
