"""A mark that nobody looks at, for parts of a run that are tried alone."""


class Unwatched:
    """Takes what a rank says, and does nothing with it."""

    def __call__(self, step: int, activity: str, /) -> None: ...

    def moved(self) -> None: ...
