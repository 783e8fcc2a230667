"""Reads a task of VTAB-1k, in either of the forms in which it is passed around.

    <path>/cifar/train800.txt, val200.txt, train800val200.txt, test.txt
    <path>/cifar/images/train800/000042.jpg, ...    a line of a list: images/train800/000042.jpg 7

    <path>/cifar100/3.0.2/dataset_info.json, cifar100-train.tfrecord-00000-of-00001, ...

The first are exports (NOAH's and those made after it), with images that were encoded anew as JPEG.
The second is TFDS's own folder, from which the same slices are taken here.
"""

from collections.abc import Sequence

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.reading import named_classes
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImagePlace
from openalign.evaluate.datasets.labels.vtab.vtab_records import builder_folder, read_slices
from openalign.evaluate.datasets.labels.vtab.vtab_tasks import (
    TEST,
    TRAIN,
    TRAIN_AND_VAL,
    VAL,
    VTAB_TASKS,
    VtabTask,
)
from openalign.evaluate.datasets.reading.folders import check_inside
from openalign.evaluate.datasets.reading.labelled import (
    check_listed_once,
    check_number,
    labelled_file,
)
from openalign.evaluate.datasets.reading.text import read_lines
from openalign.files import storage

_FORM = "each line is an image's path below the task's folder, a space and its class"
_JPEG = (".jpg", ".jpeg")


def read(path: str, task: VtabTask, *, class_names: str) -> Dataset:
    """Return the images of the four splits.

    Raises:
        InputError: the task is in neither form below the folder, or is broken.
        MissingExtraError: the library that keeps the names is not installed.
    """
    folder = list_folder(path, task)
    notes: tuple[str, ...] = ()
    if folder is not None:
        images = _read_lists(folder, task)
        notes = _notes(task, images)
    elif builder_folder(path, task) is not None:
        images = [
            _image(split, f"{split}/{number:06d}", place, label)
            for split, found in read_slices(path, task).items()
            for number, (place, label) in enumerate(found)
        ]
    else:
        raise InputError(
            f"{path}: holds no VTAB task `{task.name}`",
            hint=f"its lists lie in {storage.join(path, task.folder)}, and TFDS prepares it in "
            f"{storage.join(path, task.tfds)}/{task.tfds_version}.*; see docs/datasets.md",
        )
    ids = [str(number) for number in range(task.num_classes)]
    return Dataset(
        images=images + _train_and_val(images),
        classes=named_classes(ids, class_names),
        train_split=TRAIN_AND_VAL,
        notes=notes,
    )


def tasks_present(path: str) -> Sequence[VtabTask]:
    """Return the tasks that lie below a folder, in the order of the table."""
    return [
        task
        for task in VTAB_TASKS
        if list_folder(path, task) is not None or builder_folder(path, task) is not None
    ]


def task_of_folder(path: str) -> VtabTask | None:
    """Return the task whose lists lie in a folder itself, by the folder's name."""
    name = path.rstrip("/").rpartition("/")[2]
    task = next((task for task in VTAB_TASKS if name in (task.folder, task.name)), None)
    is_one = task is not None and storage.exists(storage.join(path, f"{TRAIN}.txt"))
    return task if is_one else None


def list_folder(path: str, task: VtabTask) -> str | None:
    """Return the folder of a task's lists: one of its names below `path`, or `path` itself."""
    places = [storage.join(path, task.folder), storage.join(path, task.name)]
    held = (place for place in places if storage.exists(storage.join(place, f"{TRAIN}.txt")))
    return next(held, path if task_of_folder(path) is task else None)


def _read_lists(folder: str, task: VtabTask) -> list[BenchmarkImage]:
    """Return the images of `train800`, `val200` and `test`, each in the order of its list."""
    images: list[BenchmarkImage] = []
    for split in (TRAIN, VAL, TEST):
        url = storage.join(folder, f"{split}.txt")
        for number, line in enumerate(read_lines(url), start=1):
            name, _, label = line.strip().rpartition(" ")
            where = f"{url}:{number}"
            if not name:
                raise InputError(f"{where}: has no path and class: {line!r}", hint=_FORM)
            below = check_inside(where, name.strip())
            known = check_number(where, label, first=0, last=task.num_classes - 1)
            images.append(labelled_file(folder, below, split=split, label=known))
    check_listed_once(folder, images)
    return images


def _train_and_val(images: Sequence[BenchmarkImage]) -> list[BenchmarkImage]:
    """Return the 1,000 images of `train800` and `val200` as a split of their own."""
    return [
        _image(TRAIN_AND_VAL, f"{TRAIN_AND_VAL}/{image.name}", image.place, image.label)
        for image in images
        if image.split in (TRAIN, VAL)
    ]


def _image(split: str, name: str, place: ImagePlace, label: int | None) -> BenchmarkImage:
    return BenchmarkImage(name=name, split=split, place=place, label=label)


def _notes(task: VtabTask, images: Sequence[BenchmarkImage]) -> tuple[str, ...]:
    if not task.is_lossless or not any(i.name.lower().endswith(_JPEG) for i in images):
        return ()
    note = (
        f"{task.title}: these images are JPEGs that were made of lossless ones; numbers on them "
        "are not comparable with those on TFDS's images"
    )
    return (note,)
