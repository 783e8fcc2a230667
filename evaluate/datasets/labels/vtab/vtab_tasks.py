"""The 19 tasks of VTAB-1k: what they are called, how large they are, and where TFDS has them.

Source: google-research/task_adaptation at d7630d3, `data/*.py`. All are classification, and the
score is top-1 accuracy on the whole test set. The mean over all is one over tasks, not over groups.
"""

from dataclasses import dataclass
from typing import Literal

Group = Literal["natural", "specialized", "structured"]

TRAIN, VAL, TRAIN_AND_VAL, TEST = "train800", "val200", "train800val200", "test"
"""The splits: 800 images to learn from, 200 to choose by, both together, and the whole test set."""

NUM_TRAIN, NUM_VAL = 800, 200


@dataclass(frozen=True, slots=True)
class TfdsPart:
    """A part of a split of TFDS, from a share of its images on."""

    split: str
    from_percent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VtabTask:
    """One of the 19 tasks."""

    name: str
    title: str
    group: Group
    num_classes: int
    num_test: int
    """Images of the test set."""

    folder: str
    """Its folder among the lists that people pass around."""

    tfds: str
    """Its folder among TFDS's data sets, with the configuration if it has one."""

    tfds_version: str
    """The version that VTAB names, or how it begins."""

    is_lossless: bool
    """Whether TFDS keeps its images as PNGs. The lists' images are JPEGs that were encoded anew, so
    numbers on them are not those of TFDS: far lower for images of 32 pixels."""

    val: TfdsPart
    """The first 200 images of it are `val200`; `train800` is the beginning of `train`."""

    test: TfdsPart = TfdsPart("test")


VTAB_TASKS = (
    VtabTask(
        name="caltech101", title="Caltech101", group="natural", num_classes=102, num_test=6084,
        folder="caltech101", tfds="caltech101", tfds_version="3", is_lossless=False,
        val=TfdsPart("train", 90),
    ),
    VtabTask(
        name="cifar100", title="CIFAR-100", group="natural", num_classes=100, num_test=10000,
        folder="cifar", tfds="cifar100", tfds_version="3", is_lossless=True,
        val=TfdsPart("train", 90),
    ),
    VtabTask(
        name="dtd", title="DTD", group="natural", num_classes=47, num_test=1880,
        folder="dtd", tfds="dtd", tfds_version="3", is_lossless=False,
        val=TfdsPart("validation"),
    ),
    VtabTask(
        name="flowers102", title="Flowers102", group="natural", num_classes=102, num_test=6149,
        folder="oxford_flowers102", tfds="oxford_flowers102", tfds_version="2", is_lossless=False,
        val=TfdsPart("validation"),
    ),
    VtabTask(
        name="pets", title="Pets", group="natural", num_classes=37, num_test=3669,
        folder="oxford_iiit_pet", tfds="oxford_iiit_pet", tfds_version="3", is_lossless=False,
        val=TfdsPart("train", 80),
    ),
    VtabTask(
        name="sun397", title="Sun397", group="natural", num_classes=397, num_test=21750,
        folder="sun397", tfds="sun397/tfds", tfds_version="4", is_lossless=False,
        val=TfdsPart("validation"),
    ),
    VtabTask(
        name="svhn", title="SVHN", group="natural", num_classes=10, num_test=26032,
        folder="svhn", tfds="svhn_cropped", tfds_version="3", is_lossless=True,
        val=TfdsPart("train", 90),
    ),
    VtabTask(
        name="patch_camelyon", title="Patch Camelyon", group="specialized", num_classes=2,
        num_test=32768, folder="patch_camelyon", tfds="patch_camelyon", tfds_version="2",
        is_lossless=True, val=TfdsPart("validation"),
    ),
    VtabTask(
        name="eurosat", title="EuroSAT", group="specialized", num_classes=10, num_test=5400,
        folder="eurosat", tfds="eurosat/rgb", tfds_version="2", is_lossless=False,
        val=TfdsPart("train", 60), test=TfdsPart("train", 80),
    ),
    VtabTask(
        name="resisc45", title="Resisc45", group="specialized", num_classes=45, num_test=6300,
        folder="resisc45", tfds="resisc45", tfds_version="3", is_lossless=False,
        val=TfdsPart("train", 60), test=TfdsPart("train", 80),
    ),
    VtabTask(
        name="diabetic_retinopathy", title="Diabetic Retinopathy", group="specialized",
        num_classes=5, num_test=42670, folder="diabetic_retinopathy",
        tfds="diabetic_retinopathy_detection/btgraham-300", tfds_version="3", is_lossless=False,
        val=TfdsPart("validation"),
    ),
    VtabTask(
        name="clevr_count", title="Clevr-Count", group="structured", num_classes=8,
        num_test=15000, folder="clevr_count", tfds="clevr", tfds_version="3", is_lossless=True,
        val=TfdsPart("train", 90), test=TfdsPart("validation"),
    ),
    VtabTask(
        name="clevr_distance", title="Clevr-Dist", group="structured", num_classes=6,
        num_test=15000, folder="clevr_dist", tfds="clevr", tfds_version="3", is_lossless=True,
        val=TfdsPart("train", 90), test=TfdsPart("validation"),
    ),
    VtabTask(
        name="dmlab", title="DMLab", group="structured", num_classes=6, num_test=22735,
        folder="dmlab", tfds="dmlab", tfds_version="2.0.1", is_lossless=False,
        val=TfdsPart("validation"),
    ),
    VtabTask(
        name="kitti_distance", title="KITTI-Dist", group="structured", num_classes=4,
        num_test=711, folder="kitti", tfds="kitti", tfds_version="3", is_lossless=True,
        val=TfdsPart("validation"),
    ),
    VtabTask(
        name="dsprites_location", title="dSprites-Loc", group="structured", num_classes=16,
        num_test=73728, folder="dsprites_loc", tfds="dsprites", tfds_version="2",
        is_lossless=True, val=TfdsPart("train", 80), test=TfdsPart("train", 90),
    ),
    VtabTask(
        name="dsprites_orientation", title="dSprites-Ori", group="structured", num_classes=16,
        num_test=73728, folder="dsprites_ori", tfds="dsprites", tfds_version="2",
        is_lossless=True, val=TfdsPart("train", 80), test=TfdsPart("train", 90),
    ),
    VtabTask(
        name="smallnorb_azimuth", title="sNORB-Azim", group="structured", num_classes=18,
        num_test=12150, folder="smallnorb_azi", tfds="smallnorb", tfds_version="2",
        is_lossless=True, val=TfdsPart("test"), test=TfdsPart("test", 50),
    ),
    VtabTask(
        name="smallnorb_elevation", title="sNORB-Elev", group="structured", num_classes=9,
        num_test=12150, folder="smallnorb_ele", tfds="smallnorb", tfds_version="2",
        is_lossless=True, val=TfdsPart("test"), test=TfdsPart("test", 50),
    ),
)  # fmt: skip
"""In the order of the paper's table."""

TASK_OF = {task.name: task for task in VTAB_TASKS}
"""The tasks by name."""

_PREFIX = "vtab_"


def task_called(benchmark: str) -> str:
    """Return a benchmark's name as VTAB has it: without `vtab_` before it."""
    return benchmark.removeprefix(_PREFIX)
