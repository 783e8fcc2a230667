"""Adds a pipeline to a settings file."""

from pathlib import Path

from openalign.errors import ConfigError
from openalign.run.settings_files import pipelines_in
from openalign.settings.yaml_reader import compose


def append(path: str, name: str, text: str) -> None:
    """Add a pipeline to the end of a settings file, which is made if it is not there.

    Raises:
        ConfigError: the file holds a pipeline of that name, or cannot be read or written.
    """
    file = Path(path)
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        is_empty = compose(before, path) is None  # or all of it is comments
        if not is_empty and name in pipelines_in(before, path):
            raise ConfigError(
                f"{path}: there is a pipeline `{name}` already", hint="give this one another name"
            )
        between = ("\n" if before.endswith("\n") else "\n\n") if before.strip() else ""
        pipelines_in(before + between + text, path)  # nothing may stand behind what is there
        with file.open("a", encoding="utf-8") as sink:  # what is there is not written anew
            sink.write(between + text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be changed: {error}", hint="name another file with `--config PATH`"
        ) from error
