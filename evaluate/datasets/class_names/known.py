"""Class names and prompt templates, by the names of the data sets that they were written for.

They are read from open_clip, clip_benchmark and torchvision when they are asked for (the extra
`names`). `known_lists` says what there is.
"""


def class_names_of(name: str) -> tuple[str, ...]:
    """Return a known list of class names, in the order of the classes.

    Raises:
        InputError: there is no such list; names the nearest.
        MissingExtraError: the library that keeps it is not installed.
    """
    from openalign.evaluate.datasets.class_names import reading

    return reading.known_names(name)


def templates_of(name: str) -> tuple[str, ...]:
    """Return a known list of prompt templates; `{}` stands for the class's name.

    Raises:
        InputError: there is no such list; names the nearest.
        MissingExtraError: the library that keeps it is not installed.
    """
    from openalign.evaluate.datasets.class_names import reading

    return reading.known_templates(name)
