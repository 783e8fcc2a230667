"""Reads Crisscrossed Captions: three CSV files a split, over MSCOCO in Karpathy's JSON.

    sis_test.csv     image1,image2,agg_score,sampling_method
                     COCO_val2014_000000000009.jpg,COCO_val2014_000000000042.jpg,2.38,i2i_csim
    sits_test.csv    caption,image,agg_score,sampling_method
    sts_test.csv     caption1,caption2,agg_score,sampling_method

A caption is called `COCO_val2014:sentid:17`, where 17 is its `sentid` in Karpathy's JSON. Its
numbers are those of the first five captions of an image.
"""

import math
from collections.abc import Mapping

from openalign.errors import InputError
from openalign.evaluate.datasets.captions import karpathy_reading
from openalign.evaluate.datasets.dataset import check_splits
from openalign.evaluate.datasets.images import places_by_name
from openalign.evaluate.datasets.ratings.cxc_ratings import CxcDataset, RatedPair
from openalign.evaluate.datasets.reading.folders import has_files
from openalign.evaluate.datasets.reading.text import read_columns
from openalign.files import storage

_NUM_CAPTIONS = 5
_CAPTION = "COCO_val2014:sentid:"
_MAX_SCORE = 5.0
_CAPTIONS_FILE = "dataset_coco.json"
_FORM = "the files are those of github.com/google-research-datasets/Crisscrossed-Captions, data/"

_COLUMNS = {
    "sis": ("image1", "image2"),
    "sits": ("caption", "image"),
    "sts": ("caption1", "caption2"),
}
"""What each file rates."""


def read(path: str, *, captions: str, folder: str, split: str) -> CxcDataset:
    """Return the images of a split, their first five captions, and the ratings.

    Raises:
        InputError: a file is missing or broken, or rates what the split does not have.
    """
    if not storage.exists(captions):
        raise InputError(
            f"{captions}: there is no such file, and the captions are in it",
            hint="name Karpathy's dataset_coco.json, the setting `karpathy` of the data set: --set "
            "benchmarks.NAME.karpathy=FILE, or `openalign datasets check` with --set karpathy=FILE",
        )
    everything = karpathy_reading.read(captions, folder=folder, max_captions=_NUM_CAPTIONS)
    check_splits(everything, [split], of=captions)
    images = [image for image in everything.images if image.split == split]
    ids = [number for image in images for number in image.caption_ids]
    if len(ids) != sum(len(image.captions) for image in images):
        raise InputError(f"{captions}: captions of split `{split}` have no `sentid`")
    places = {f"{_CAPTION}{number}": place for place, number in enumerate(ids)}
    of_column = {
        **dict.fromkeys(("image", "image1", "image2"), places_by_name(images)),
        **dict.fromkeys(("caption", "caption1", "caption2"), places),
    }
    found = {
        name: _pairs(file, _COLUMNS[name], of_column, captions)
        for name, file in rating_files(path, split).items()
    }
    return CxcDataset(
        images=images,
        test_split=split,
        notes=everything.notes,
        image_pairs=found["sis"],
        caption_image_pairs=found["sits"],
        caption_pairs=found["sts"],
    )


def has_ratings(path: str) -> bool:
    """Tell whether a folder is that of the files of ratings, or a clone."""
    names = [f"{name}_test.csv" for name in _COLUMNS]
    return has_files(path, *names) or has_files(storage.join(path, "data"), *names)


def rating_files(path: str, split: str) -> dict[str, str]:
    """Return the files of ratings, by what they are called."""
    folder = storage.join(path, "data") if has_files(path, f"data/sis_{split}.csv") else path
    return {name: storage.join(folder, f"{name}_{split}.csv") for name in _COLUMNS}


def captions_file(path: str, karpathy: str) -> str:
    """Return the file of captions: `karpathy`, or the one in a folder or beside it."""
    if karpathy:
        return karpathy
    beside = path.rstrip("/").rpartition("/")[0]
    held = (each for each in (path, beside) if each and has_files(each, _CAPTIONS_FILE))
    return storage.join(next(held, path), _CAPTIONS_FILE)


def _pairs(
    file: str,
    rated: tuple[str, str],
    of_column: Mapping[str, Mapping[str, int]],
    captions: str,
) -> list[RatedPair]:
    """Return the pairs of a file; `of_column` has the place of each name in a column."""
    firsts, seconds = (of_column[column] for column in rated)
    pairs: list[RatedPair] = []
    columns = (*rated, "agg_score", "sampling_method")
    for number, cells in read_columns(file, columns, separator=",", form=_FORM):
        first, second, score, method = cells
        for name, places in ((first, firsts), (second, seconds)):
            if name not in places:
                raise InputError(
                    f"{file}:{number}: {name} is not in the split",
                    hint=f"{captions} must be Karpathy's dataset_coco.json, with `sentid`",
                )
        pairs.append(
            RatedPair(
                first=firsts[first],
                second=seconds[second],
                score=_score(f"{file}:{number}", score),
                method=method,
            )
        )
    if not pairs:
        raise InputError(f"{file}: has no pairs", hint=_FORM)
    return pairs


def _score(where: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= _MAX_SCORE:
        raise InputError(f"{where}: agg_score must be a number from 0 to 5, got {text!r}")
    return value
