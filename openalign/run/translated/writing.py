"""Adds a pipeline to a settings file."""

from pathlib import Path

from openalign.errors import ConfigError
from openalign.run.settings_files import pipelines_in


def append(path: str, name: str, text: str) -> None:
    """Add a pipeline to the end of a settings file, which is made if it is not there.

    Raises:
        ConfigError: the file holds a pipeline of that name, or cannot be read or written.
    """
    file = Path(path)
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        if before.strip() and name in pipelines_in(before, path):
            raise ConfigError(
                f"{path}: there is a pipeline `{name}` already", hint="give this one another name"
            )
        whole = f"{before.rstrip()}\n\n{text}" if before.strip() else text
        file.write_text(whole, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be changed: {error}", hint="name another file with `--config PATH`"
        ) from error
