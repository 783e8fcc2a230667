"""Tars of samples, as clip_benchmark and webdataset have them: settings of both kinds.

`webdataset` has images with a class, `webdataset_captions` images with captions. The reading lies
in `webdataset_reading`.
"""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.caption_limits import (
    MaxCaptions,
    check_max_captions,
    most_captions,
)
from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.settings.fields import location

_LABELLED_NAMES = (
    *("wds_imagenet1k", "wds_imagenetv2", "wds_imagenet_sketch", "wds_imagenet-a"),
    *("wds_imagenet-r", "wds_imagenet-o", "wds_objectnet", "wds_fer2013", "wds_sun397"),
    *("wds_cars", "wds_fgvc_aircraft", "wds_mnist", "wds_stl10", "wds_gtsrb", "wds_country211"),
    *("wds_renderedsst2", "wds_vtab-caltech101", "wds_vtab-cifar10", "wds_vtab-cifar100"),
    *("wds_vtab-clevr_count_all", "wds_vtab-clevr_closest_object_distance"),
    *("wds_vtab-diabetic_retinopathy", "wds_vtab-dmlab", "wds_vtab-dsprites_label_orientation"),
    *("wds_vtab-dsprites_label_x_position", "wds_vtab-dsprites_label_y_position", "wds_vtab-dtd"),
    *("wds_vtab-eurosat", "wds_vtab-kitti_closest_vehicle_distance", "wds_vtab-flowers"),
    *("wds_vtab-pets", "wds_vtab-pcam", "wds_vtab-resisc45", "wds_vtab-smallnorb_label_azimuth"),
    *("wds_vtab-smallnorb_label_elevation", "wds_vtab-svhn"),
)
"""Folders as clip_benchmark calls them. Its VOC2007 has several labels an image: not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTars:
    """Images with classes in tars, as `wds_imagenet1k` and `wds_vtab-*` have them."""

    kind: Literal["webdataset"] = "webdataset"
    """Which format: tars of images with classes."""

    path: str = location()
    """Folder or URL that holds a folder of tars for each split, and `classnames.txt`; or the tars
    themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedTars:
    """Images with captions in tars, as `wds_flickr30k` and `wds_mscoco_captions` have them."""

    kind: Literal["webdataset_captions"] = "webdataset_captions"
    """Which format: tars of images with captions."""

    path: str = location()
    """Folder or URL that holds a folder of tars for each split; or the tars themselves."""

    max_captions: MaxCaptions = 5
    """Keep an image's first captions only, or `all`; five is the habit that makes numbers
    comparable."""

    def __post_init__(self) -> None:
        check_max_captions(self.max_captions)


def read_labelled(dataset: LabelledTars) -> Dataset:
    """Return every image with its class, in the order of the tars.

    Raises:
        InputError: a tar is broken, or a sample has no image or no class.
    """
    from openalign.evaluate.datasets import webdataset_reading

    return webdataset_reading.read_labelled(dataset.path)


def read_captioned(dataset: CaptionedTars) -> Dataset:
    """Return every image with its captions, in the order of the tars.

    Raises:
        InputError: a tar is broken, or a sample has no image or no captions.
    """
    from openalign.evaluate.datasets import webdataset_reading

    return webdataset_reading.read_captioned(
        dataset.path, max_captions=most_captions(dataset.max_captions)
    )


def recognize_labelled(_: str, path: str) -> LabelledTars | None:
    """Return settings for a folder of tars whose first sample has a class."""
    from openalign.evaluate.datasets import webdataset_reading

    found = webdataset_reading.content_of(path)
    return LabelledTars(path=path) if found == webdataset_reading.CLASSES else None


def recognize_captioned(_: str, path: str) -> CaptionedTars | None:
    """Return settings for a folder of tars whose first sample has captions."""
    from openalign.evaluate.datasets import webdataset_reading

    found = webdataset_reading.content_of(path)
    return CaptionedTars(path=path) if found == webdataset_reading.CAPTIONS else None


LABELLED_KIND = DatasetKind(
    settings=LabelledTars,
    title="clip_benchmark's and webdataset's tars of images with classes (wds_*)",
    page="datasets.md",
    names=_LABELLED_NAMES,
    tasks=("zero_shot",),
    read=read_labelled,
    image_folder=lambda dataset: dataset.path,
    recognize=recognize_labelled,
)

CAPTIONED_KIND = DatasetKind(
    settings=CaptionedTars,
    title="clip_benchmark's and webdataset's tars of images with captions (wds_*)",
    page="datasets.md",
    names=("wds_flickr30k", "wds_flickr8k", "wds_mscoco_captions"),
    tasks=("retrieval",),
    read=read_captioned,
    image_folder=lambda dataset: dataset.path,
    recognize=recognize_captioned,
)
