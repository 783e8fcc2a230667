"""What a rank computes with, as far as the weights can depend on it; part of no fingerprint."""

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import openalign

_LIBRARIES = (
    "torch",
    "triton",
    "deepspeed",
    "transformers",
    "tokenizers",
    "numpy",
    "pillow",
    "simplejpeg",
)
_OWN_PARTS = ("train", "files", "images", "settings")
"""Folders of OpenALIGN whose sources ranks run, beside the files at its top."""


def software() -> dict[str, str]:
    """Return what this rank computes with, by name: versions, and a digest of our own sources."""
    import torch

    return {
        "the sources of OpenALIGN": sources_digest(Path(openalign.__file__).parent),
        "Python": platform.python_version(),
        "CUDA": str(torch.version.cuda),
        "cuDNN": str(torch.backends.cudnn.version()),
        **{name: _version(name) for name in _LIBRARIES},
    }


def sources_digest(package: Path) -> str:
    """Return the sha256 of the sources that ranks run: their names and every byte.

    Checkouts of one version differ in these alone. Hidden files, as editors leave them, are none.
    """
    digest = hashlib.sha256()
    folders = {part: (package / part).resolve() for part in _OWN_PARTS}
    found = {path.name: path for path in package.glob("*.py")}
    found |= {
        f"{part}/{path.relative_to(folder).as_posix()}": path
        for part, folder in folders.items()
        for path in folder.rglob("*.py")
    }
    for name, path in sorted(found.items()):
        if not path.name.startswith("."):
            content = path.read_bytes()
            digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
