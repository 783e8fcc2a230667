"""Multi30k: Flickr30K's images with captions in English, German, French and Czech: settings.

The reading lies in `multi30k_reading`.
"""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.settings.fields import location
from openalign.settings.limits import short_name

_NAME = "multi30k"
_LANGUAGES = ("en", "de", "fr", "cs")
_FLICKR30K = {"train": 29_000, "val": 1_014, "test": 1_000}
_LATER_TESTS = {"test_2017_flickr": 1_000, "test_2017_mscoco": 461, "test_2018_flickr": 1_071}


@dataclass(frozen=True, slots=True, kw_only=True)
class Multi30kDataset:
    """Flickr30K's images with the captions of one language (Table 11)."""

    kind: Literal["multi30k"] = "multi30k"
    """Which format: Multi30k's files, a caption a line."""

    path: str = location()
    """A clone of Multi30k's repository, or its folder `data`; a path or URL."""

    images: str = location("")
    """Folder or URL of Flickr30K's images. When empty, `flickr30k-images` or `images` in the clone
    or beside it."""

    language: str = "en"
    """Language of the captions: the ending of the files, `en`, `de`, `fr` or `cs`."""

    part: Literal["", "task1", "task2"] = ""
    """`task1` has one caption an image, a translation; `task2` has five that were written from the
    image, in English and German. When empty, `task2` where it has the language."""

    def __post_init__(self) -> None:
        short_name(language=self.language)


def image_folder(dataset: Multi30kDataset) -> str:
    """Return the folder of the images: `images`, or where the first of them is found."""
    from openalign.evaluate.datasets.captions import multi30k_reading

    return dataset.images or multi30k_reading.image_folder(
        dataset.path, language=dataset.language, part=dataset.part
    )


def read(dataset: Multi30kDataset) -> Dataset:
    """Return the images of every split that has captions in the language.

    Raises:
        InputError: there are none, or a file does not fit its list of images.
    """
    from openalign.evaluate.datasets.captions import multi30k_reading

    return multi30k_reading.read(
        dataset.path, folder=image_folder(dataset), language=dataset.language, part=dataset.part
    )


def recognize(name: str, path: str) -> Multi30kDataset | None:
    """Return settings for a clone; a name such as `multi30k_de` tells the language."""
    from openalign.evaluate.datasets.captions import multi30k_reading

    language = name.removeprefix(f"{_NAME}_")
    found = Multi30kDataset(path=path, language=language if language in _LANGUAGES else "en")
    return found if multi30k_reading.is_clone(path) else None


KIND = DatasetKind(
    settings=Multi30kDataset,
    title="Multi30k: Flickr30K's images with captions in four languages",
    page="datasets.md",
    names=(_NAME, *(f"{_NAME}_{language}" for language in _LANGUAGES)),
    tasks=("retrieval",),
    sizes={
        **dict.fromkeys((_NAME, f"{_NAME}_en", f"{_NAME}_de"), _FLICKR30K),
        f"{_NAME}_fr": _FLICKR30K | _LATER_TESTS,
        f"{_NAME}_cs": _FLICKR30K | {"test_2018_flickr": _LATER_TESTS["test_2018_flickr"]},
    },
    read=read,
    image_folder=image_folder,
    recognize=recognize,
)
