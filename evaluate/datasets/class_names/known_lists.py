"""Where libraries keep lists of class names and of prompt templates. None is copied here."""

from dataclasses import dataclass

OPEN_CLIP, CLIP_BENCHMARK, TORCHVISION = "open_clip", "clip_benchmark", "torchvision"


@dataclass(frozen=True, slots=True)
class ListPlace:
    """Where a library keeps a list."""

    library: str
    """Name of the package that is imported."""

    key: str
    """What the library calls the list."""


_IMAGENET_NAMES = ListPlace(OPEN_CLIP, "IMAGENET_CLASSNAMES")
_IMAGENET_TEMPLATES = ListPlace(OPEN_CLIP, "OPENAI_IMAGENET_TEMPLATES")

CLASS_NAMES: dict[str, ListPlace] = {
    "imagenet": _IMAGENET_NAMES,
    "imagenet_v2": _IMAGENET_NAMES,
    "imagenet_a": _IMAGENET_NAMES,
    "imagenet_r": _IMAGENET_NAMES,
    "imagenet_sketch": _IMAGENET_NAMES,
    "flowers102": ListPlace(CLIP_BENCHMARK, "flowers"),
    "pets": ListPlace(CLIP_BENCHMARK, "pets"),
    "mnist": ListPlace(CLIP_BENCHMARK, "mnist"),
    "fashion_mnist": ListPlace(TORCHVISION, "FashionMNIST"),
    "caltech101": ListPlace(CLIP_BENCHMARK, "caltech101_vtab"),
    "country211": ListPlace(CLIP_BENCHMARK, "country211"),
    "eurosat": ListPlace(CLIP_BENCHMARK, "eurosat"),
    "fer2013": ListPlace(CLIP_BENCHMARK, "fer2013"),
    "gtsrb": ListPlace(CLIP_BENCHMARK, "gtsrb"),
    "svhn": ListPlace(CLIP_BENCHMARK, "svhn"),
    "patch_camelyon": ListPlace(CLIP_BENCHMARK, "pcam"),
    "diabetic_retinopathy": ListPlace(CLIP_BENCHMARK, "diabetic_retinopathy"),
    "dmlab": ListPlace(CLIP_BENCHMARK, "dmlab"),
    "clevr_count": ListPlace(CLIP_BENCHMARK, "clevr_count_all"),
    "clevr_distance": ListPlace(CLIP_BENCHMARK, "clevr_closest_object_distance"),
    "kitti_distance": ListPlace(CLIP_BENCHMARK, "kitti_closest_vehicle_distance"),
}
"""Known lists of class names, by the names that `class_names:` takes."""

TEMPLATES: dict[str, ListPlace] = {
    "imagenet": _IMAGENET_TEMPLATES,
    "imagenet_simple": ListPlace(OPEN_CLIP, "SIMPLE_IMAGENET_TEMPLATES"),
    "imagenet_v2": _IMAGENET_TEMPLATES,
    "imagenet_a": _IMAGENET_TEMPLATES,
    "imagenet_r": _IMAGENET_TEMPLATES,
    "imagenet_sketch": _IMAGENET_TEMPLATES,
    "objectnet": _IMAGENET_TEMPLATES,
    "flowers102": ListPlace(CLIP_BENCHMARK, "flowers"),
    "pets": ListPlace(CLIP_BENCHMARK, "pets"),
    "cars": ListPlace(CLIP_BENCHMARK, "cars"),
    "food101": ListPlace(CLIP_BENCHMARK, "food101"),
    "dtd": ListPlace(CLIP_BENCHMARK, "dtd"),
    "mnist": ListPlace(CLIP_BENCHMARK, "mnist"),
    "caltech101": ListPlace(CLIP_BENCHMARK, "caltech101"),
    "cifar10": ListPlace(CLIP_BENCHMARK, "cifar10"),
    "cifar100": ListPlace(CLIP_BENCHMARK, "cifar100"),
    "country211": ListPlace(CLIP_BENCHMARK, "country211"),
    "eurosat": ListPlace(CLIP_BENCHMARK, "eurosat"),
    "fer2013": ListPlace(CLIP_BENCHMARK, "fer2013"),
    "fgvc_aircraft": ListPlace(CLIP_BENCHMARK, "fgvc_aircraft"),
    "gtsrb": ListPlace(CLIP_BENCHMARK, "gtsrb"),
    "resisc45": ListPlace(CLIP_BENCHMARK, "resisc45"),
    "stl10": ListPlace(CLIP_BENCHMARK, "stl10"),
    "sun397": ListPlace(CLIP_BENCHMARK, "sun397"),
    "svhn": ListPlace(CLIP_BENCHMARK, "svhn"),
    "voc2007": ListPlace(CLIP_BENCHMARK, "voc2007"),
    "patch_camelyon": ListPlace(CLIP_BENCHMARK, "pcam"),
    "diabetic_retinopathy": ListPlace(CLIP_BENCHMARK, "diabetic_retinopathy"),
    "dmlab": ListPlace(CLIP_BENCHMARK, "dmlab"),
    "clevr_count": ListPlace(CLIP_BENCHMARK, "clevr_count_all"),
    "clevr_distance": ListPlace(CLIP_BENCHMARK, "clevr_closest_object_distance"),
    "kitti_distance": ListPlace(CLIP_BENCHMARK, "kitti_closest_vehicle_distance"),
    "dsprites_location": ListPlace(CLIP_BENCHMARK, "dsprites_label_x_position"),
    "dsprites_orientation": ListPlace(CLIP_BENCHMARK, "dsprites_label_orientation"),
    "smallnorb_azimuth": ListPlace(CLIP_BENCHMARK, "smallnorb_label_azimuth"),
    "smallnorb_elevation": ListPlace(CLIP_BENCHMARK, "smallnorb_label_elevation"),
}
"""Known lists of prompt templates, by the names of the data sets that they were written for."""
