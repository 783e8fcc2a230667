"""Reads class folders.

    <path>/<class>/*.jpg                one split
    <path>/<split>/<class>/*.jpg        several: train, val, test and their like

Folders that are all called by numbers are classes in the order of the numbers. Other files beside
images, and names that begin with a dot, are left out. Links are followed. A class folder holds no
folders: whether their images were of the class would be guessed.
"""

from collections.abc import Iterator, Mapping, Sequence

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.reading import named_classes, own_names
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.datasets.reading.image_folders import (
    FolderListing,
    in_class_order,
    list_all_images,
    list_class_folder,
    list_images,
    some,
)
from openalign.evaluate.datasets.reading.labelled import (
    TEST_SPLITS,
    TRAIN_SPLITS,
    labelled_file,
    usual_splits,
)
from openalign.files import storage


def read(path: str, *, split: str, class_names: str) -> Dataset:
    """Return every image of every split; `split` is the name of the only one.

    Raises:
        InputError: the folders are another layer than one of classes, one of them is empty or has
            folders beside its images, or a link leads nowhere.
    """
    root = list_all_images(path)
    splits = _split_folders(root)
    left_out = [name for name in (*root.folders, *root.images) if name not in splits]
    if not splits:
        folders = _class_folders(root)
        classes = in_class_order(folders)
        images = class_images(path, {"": folders}, {"": split}, classes)
        splits, left_out = [split], []
    else:
        found = {name: _classes_of(list_all_images(storage.join(path, name))) for name in splits}
        classes = in_class_order({name for folders in found.values() for name in folders})
        images = class_images(path, found, {name: name for name in found}, classes)
    test_split, train_split = usual_splits(splits)
    return Dataset(
        images=list(images),
        classes=named_classes(classes, class_names, own=own_names(classes)),
        test_split=test_split,
        train_split=train_split,
        notes=(f"{path}: left out beside the splits: {some(left_out)}",) if left_out else (),
    )


def class_images(
    path: str,
    folders: Mapping[str, Sequence[str]],
    splits: Mapping[str, str],
    classes: Sequence[str],
) -> Iterator[BenchmarkImage]:
    """Yield the images of class folders, split by split and class by class.

    Args:
        path: the folder below which all lie.
        folders: by the split's folder, which is empty where there is none, its class folders.
        splits: by the split's folder, what the split is called.
        classes: all classes in their order.

    Raises:
        InputError: a class folder holds no image, or folders beside its images.
    """
    label_of = {name: label for label, name in enumerate(classes)}
    for split_folder, of_split in folders.items():
        for name in in_class_order(of_split):
            folder = f"{split_folder}/{name}" if split_folder else name
            files = list_class_folder(storage.join(path, folder))
            for file in files:
                yield labelled_file(
                    path, f"{folder}/{file}", split=splits[split_folder], label=label_of[name]
                )


def class_folder_above(path: str) -> str | None:
    """Return the folder that holds class folders: `path`, or all that is inside it.

    None where neither looks like it. At least two class folders are wanted; the first and the last
    are looked into.
    """
    for _ in range(2):
        root = list_images(path)
        if _split_folders(root):
            return path
        if root.images or not root.folders:
            return None
        if len(root.folders) > 1:
            folders = in_class_order(root.folders)
            ends = [list_images(storage.join(path, name)) for name in (folders[0], folders[-1])]
            return path if all(each.images for each in ends) else None
        if root.others:  # files that belong to the folder: it is of another form
            return None
        path = storage.join(path, root.folders[0])
    return None


def has_train(path: str) -> bool:
    """Tell whether there is a folder of a split to learn from, and one of another split.

    Raises:
        InputError: there is no such folder, or splits are of several layers.
    """
    names = {name.lower() for name in _split_folders(list_images(path))}
    return not names.isdisjoint(TRAIN_SPLITS) and not names.isdisjoint(TEST_SPLITS)


def _split_folders(root: FolderListing) -> list[str]:
    """Return the folders of splits: all of a folder with a `train` or `test` that holds folders."""
    known = [name for name in root.folders if name.lower() in (*TRAIN_SPLITS, *TEST_SPLITS)]
    layers = {name: bool(list_images(storage.join(root.url, name)).folders) for name in known}
    if not any(layers.values()):
        return []
    flat = [name for name, has_folders in layers.items() if not has_folders]
    if flat:
        raise InputError(
            f"{storage.join(root.url, flat[0])}: has no class folders, unlike the split beside it",
            hint="put its images into a folder a class, or move it elsewhere; ImageNet's flat "
            "`val` is read by `kind: imagenet`",
        )
    return known


def _classes_of(split: FolderListing) -> list[str]:
    if split.images:
        raise InputError(
            f"{split.url}: {some(split.images)} lie in no class folder",
            hint="each image lies in the folder of its class",
        )
    return split.folders


def _class_folders(root: FolderListing) -> list[str]:
    if root.images:
        raise InputError(
            f"{root.url}: {some(root.images)} lie in it, in no class folder",
            hint="name the folder that holds the class folders; this may be one of them",
        )
    if not root.folders:
        raise InputError(
            f"{root.url}: holds no class folders",
            hint="name the folder that holds a folder a class, or folders train, val and test",
        )
    return root.folders
