"""Reads ImageNet (ILSVRC2012).

    <path>/train/n01440764/*.JPEG
    <path>/val/n01440764/*.JPEG             or <path>/val/ILSVRC2012_val_00000001.JPEG, ...

or Kaggle's archive, where these lie in ILSVRC/Data/CLS-LOC. The classes are the synsets in sorted
order, whichever way their images are labelled. A flat `val` is labelled by one of two files:

    LOC_val_solution.csv                            ImageId,PredictionString
                                                    ILSVRC2012_val_00048981,n03995372 85 1 499 272
    ILSVRC2012_validation_ground_truth.txt          a line an image, its ILSVRC2012_ID

The order of ILSVRC2012_ID is not that of sorted synsets: the devkit's meta.mat tells it. `test` has
no public labels and is not read.
"""

from collections.abc import Iterator

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.reading import is_wnid, named_classes
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.datasets.labels.class_folders_reading import class_images
from openalign.evaluate.datasets.reading.image_folders import (
    FolderListing,
    list_all_images,
    list_images,
    some,
)
from openalign.evaluate.datasets.reading.labelled import check_number, labelled_file
from openalign.evaluate.datasets.reading.mat import column, read_mat
from openalign.evaluate.datasets.reading.text import read_lines
from openalign.files import storage

_SPLITS = ("train", "val")
_VAL_PREFIX = "ILSVRC2012_val_"
_KAGGLE = "ILSVRC/Data/CLS-LOC"
_CSV = "LOC_val_solution.csv"
_GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_DEVKITS = ("", "ILSVRC2012_devkit_t12/data", "devkit/data", "data")
_META = "meta.mat"
_META_FORM = "the devkit's meta.mat has `synsets` with ILSVRC2012_ID, WNID and num_children"


def read(path: str, *, val_labels: str, synsets: str, class_names: str) -> Dataset:
    """Return the images of `train` and `val`, with the sorted synsets as classes.

    Raises:
        InputError: the folders are another layer, or a flat `val` has no labels that fit.
        MissingExtraError: a library that keeps the names or reads meta.mat is not installed.
    """
    root = data_folder(path)
    present = list_all_images(root).folders
    splits = [name for name in _SPLITS if name in present]
    if not splits and present and all(is_wnid(name) for name in present):
        classes = sorted(present)
        return Dataset(
            images=list(class_images(root, {"": classes}, {"": "val"}, classes)),
            classes=named_classes(classes, class_names),
            test_split="val",
            train_split="val",
        )
    if not splits:
        raise InputError(
            f"{root}: holds neither train nor val, but {some(present) or 'no folders'}",
            hint="name the folder above them",
        )
    listed = {split: list_all_images(storage.join(root, split)) for split in splits}
    flat = listed.pop("val") if "val" in listed and listed["val"].images else None
    folders = {split: _synset_folders(folder) for split, folder in listed.items()}
    of_flat = [] if flat is None else _val_synsets(path, flat, val_labels, synsets)
    classes = sorted({*of_flat, *(name for names in folders.values() for name in names)})
    images = list(class_images(root, folders, {split: split for split in folders}, classes))
    if flat is not None:
        images += _flat_images(root, flat, of_flat, classes)
    return Dataset(
        images=images,
        classes=named_classes(classes, class_names),
        test_split="val" if "val" in splits else "train",
        train_split="train" if "train" in splits else "val",
    )


def holds_imagenet(path: str) -> bool:
    """Tell whether a folder looks like ImageNet's: synset folders or published names in a split."""
    root = data_folder(path)
    present = list_images(root).folders
    for split in _SPLITS:
        if split in present:
            inside = list_images(storage.join(root, split))
            if any(is_wnid(name) for name in inside.folders[:1]):
                return True
            if any(name.startswith(_VAL_PREFIX) for name in inside.images[:1]):
                return True
    return False


def has_train(path: str) -> bool:
    """Tell whether both splits are there.

    Raises:
        InputError: there is no such folder.
    """
    return set(_SPLITS) <= set(list_images(data_folder(path)).folders)


def holds_synsets(path: str) -> bool:
    """Tell whether a folder holds synset folders."""
    return any(is_wnid(name) for name in list_images(path).folders[:1])


def data_folder(path: str) -> str:
    """Return the folder that holds `train` and `val`: `path`, or what lies deeper in Kaggle's."""
    deeper = storage.join(path, _KAGGLE)
    return deeper if storage.exists(deeper) else path


def _synset_folders(split: FolderListing) -> list[str]:
    tars = [name for name in split.others if name.lower().endswith(".tar")]
    if tars and not split.folders:
        raise InputError(
            f"{split.url}: holds archives, such as {tars[0]}, and no synset folders",
            hint="unpack each into a folder of its name: for t in *.tar; do mkdir ${t%.tar} && "
            "tar xf $t -C ${t%.tar}; done",
        )
    if split.images:
        raise InputError(
            f"{split.url}: {some(split.images)} lie in no synset folder",
            hint="images of `train` lie in the folder of their synset, such as n01440764",
        )
    other = [name for name in split.folders if not is_wnid(name)]
    if other or not split.folders:
        raise InputError(
            f"{split.url}: holds {some(other) or 'no folders'} where synset folders should be",
            hint="a synset is called like n01440764; other class folders are read by "
            "`kind: class_folders`",
        )
    return split.folders


def _val_synsets(path: str, flat: FolderListing, val_labels: str, synsets: str) -> list[str]:
    """Return the synset of each image of a flat `val`, in the order of its images."""
    if flat.folders:
        raise InputError(
            f"{flat.url}: holds images, such as {flat.images[0]}, and folders, such as "
            f"{flat.folders[0]}",
            hint="either all images lie in synset folders, or all lie flat",
        )
    labels = val_labels or _labels_near(path, flat)
    if labels.lower().endswith(".csv"):
        by_name = _synsets_in_csv(labels)
    else:
        by_name = _synsets_in_ground_truth(labels, synsets or _meta_beside(labels))
    found: list[str] = []
    for name in flat.images:
        stem = name.rpartition(".")[0]
        if stem not in by_name:
            raise InputError(
                f"{labels}: has no label for {storage.join(flat.url, name)}",
                hint="images keep their published names, such as ILSVRC2012_val_00000001.JPEG",
            )
        found.append(by_name[stem])
    return found


def _flat_images(
    root: str, flat: FolderListing, synsets: list[str], classes: list[str]
) -> Iterator[BenchmarkImage]:
    label_of = {synset: label for label, synset in enumerate(classes)}
    for name, synset in zip(flat.images, synsets, strict=True):
        yield labelled_file(root, f"val/{name}", split="val", label=label_of[synset])


def _labels_near(path: str, flat: FolderListing) -> str:
    """Return the file of labels in the data set's folder or in the devkit in it."""
    places = [storage.join(path, _CSV)]
    places += [storage.join(path, folder, _GROUND_TRUTH) for folder in _DEVKITS]
    for place in places:
        if storage.exists(place):
            return place
    raise InputError(
        f"{flat.url}: its images lie in no synset folders, and no labels for them were found",
        hint=f"set `val_labels` to {_CSV} or {_GROUND_TRUTH}; looked for {', '.join(places)}",
    )


def _synsets_in_csv(url: str) -> dict[str, str]:
    """Return the synset of each image of Kaggle's solution, by the image's name."""
    form = "each line is an image's name, a comma, and its synset before the first box"
    found: dict[str, str] = {}
    for number, line in enumerate(read_lines(url), start=1):
        name, _, boxes = line.partition(",")
        if number == 1 and name == "ImageId":
            continue
        synset = boxes.strip().partition(" ")[0]
        if not name or not is_wnid(synset):
            raise InputError(f"{url}:{number}: has no synset: {line[:80]!r}", hint=form)
        if found.setdefault(name, synset) != synset:
            raise InputError(f"{url}:{number}: {name} has another synset above", hint=form)
    return found


def _synsets_in_ground_truth(url: str, synsets: str) -> dict[str, str]:
    """Return the synset of each image of the devkit's ground truth, by the image's name."""
    order = _ids_in_meta(synsets) if synsets.lower().endswith(".mat") else _ids_in_text(synsets)
    last = max(order)
    found: dict[str, str] = {}
    for number, line in enumerate(read_lines(url), start=1):
        id_ = check_number(f"{url}:{number}", line, first=1, last=last)
        found[f"{_VAL_PREFIX}{number:08d}"] = order[id_]
    return found


def _meta_beside(labels: str) -> str:
    meta = storage.join(labels.rpartition("/")[0] or ".", _META)
    if storage.exists(meta):
        return meta
    raise InputError(
        f"{labels}: its numbers are ILSVRC2012_ID, and nothing tells which synsets they mean",
        hint="set `synsets` to the devkit's data/meta.mat, or to a text file with a synset a line "
        "in that order. It is not the sorted order",
    )


def _ids_in_meta(url: str) -> dict[int, str]:
    """Return the synset of each ILSVRC2012_ID of a leaf, as the devkit's meta.mat has them."""
    records = read_mat(url, "synsets", form=_META_FORM)
    ids, wnids, children = (
        column(url, records, name, form=_META_FORM)
        for name in ("ILSVRC2012_ID", "WNID", "num_children")
    )
    return {
        int(id_): str(wnid)
        for id_, wnid, num_children in zip(ids, wnids, children, strict=True)
        if num_children == 0  # the others are inner nodes, and no classes
    }


def _ids_in_text(url: str) -> dict[int, str]:
    order: dict[int, str] = {}
    for number, line in enumerate(read_lines(url), start=1):
        synset = line.strip().partition(" ")[0]
        if not is_wnid(synset):
            raise InputError(
                f"{url}:{number}: has no synset: {line[:80]!r}",
                hint="each line begins with a synset, in the order of ILSVRC2012_ID",
            )
        order[number] = synset
    names = list(order.values())
    if len(names) > 1 and names == sorted(names):
        raise InputError(
            f"{url}: its synsets are sorted, and the order of ILSVRC2012_ID is not: it begins "
            "with n02119789",
            hint="LOC_synset_mapping.txt is sorted too; take the devkit's data/meta.mat",
        )
    return order
