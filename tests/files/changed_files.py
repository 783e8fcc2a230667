"""Files that are changed behind the back of what has read them."""

import os
from pathlib import Path


def overwrite(file: Path) -> None:
    file.write_bytes(b"two")


def overwrite_and_set_back(file: Path) -> None:
    """Change a file so that neither its size nor its date shows it."""
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def replace(file: Path) -> None:
    file.with_name("new").write_bytes(b"two")
    file.with_name("new").replace(file)
