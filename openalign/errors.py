"""Errors a user can mend. The CLI prints them without a traceback and exits with 2.

    OpenAlignError
        ConfigError          a setting in pipelines.yaml or --set
        InputError           a table, site, shard or benchmark that cannot be used
        StageError           a stage that cannot start or has no result
        MissingExtraError    a library that an extra brings is not installed

Anything else that is raised is a mistake of ours and keeps its traceback.
"""


class OpenAlignError(Exception):
    """A user's mistake: `message` says what was found and what is allowed, `hint` what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(OpenAlignError):
    """A setting is unknown, has the wrong type or contradicts another."""


class InputError(OpenAlignError):
    """Something that a stage reads cannot be used."""


class StageError(OpenAlignError):
    """A stage cannot start, or ended with nothing to hand on."""


class MissingExtraError(OpenAlignError):
    """A library is missing; the message names the command that installs it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"{library} is not installed",
            hint=f"pip install 'openalign[{extra}]'",
        )
