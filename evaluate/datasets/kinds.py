"""The table of data-set kinds: one module a published format, one line here.

Settings are made from this table, so a kind's module imports nothing heavy at its top.
"""

from typing import TYPE_CHECKING, Any, Union

from openalign.evaluate.datasets import images_alone, webdataset
from openalign.evaluate.datasets.captions import coco, flickr, karpathy, multi30k
from openalign.evaluate.datasets.contract import DatasetKind, DatasetSettings
from openalign.evaluate.datasets.edits import cirr, fashion_iq
from openalign.evaluate.datasets.labels import (
    cars,
    class_folders,
    class_table,
    dtd,
    flowers102,
    food101,
    imagenet,
    mnist,
    objectnet,
    pets,
)
from openalign.evaluate.datasets.labels.vtab import vtab
from openalign.evaluate.datasets.ratings import cxc, simlex

KINDS: dict[str, DatasetKind[Any]] = {
    "multi30k": multi30k.KIND,
    "cxc": cxc.KIND,  # before MSCOCO's JSON, which may lie in its folder
    "simlex": simlex.KIND,
    "cirr": cirr.KIND,
    "fashion_iq": fashion_iq.KIND,
    "karpathy": karpathy.KIND,
    "coco": coco.KIND,
    "class_table": class_table.KIND,  # before Flickr's text, which tables of two columns look like
    "flickr": flickr.KIND,
    "webdataset": webdataset.LABELLED_KIND,
    "webdataset_captions": webdataset.CAPTIONED_KIND,
    "imagenet": imagenet.KIND,
    "objectnet": objectnet.KIND,
    "flowers102": flowers102.KIND,
    "pets": pets.KIND,
    "cars": cars.KIND,
    "food101": food101.KIND,
    "dtd": dtd.KIND,
    "mnist": mnist.KIND,
    "vtab": vtab.KIND,
    "class_folders": class_folders.KIND,  # behind those: other forms have folders of images too
    "images": images_alone.KIND,
}
"""In the order in which a path is asked which form it has."""

if TYPE_CHECKING:
    AnyDataset = DatasetSettings
else:
    AnyDataset = Union[tuple(kind.settings for kind in KINDS.values())]  # noqa: UP007


def kind_of(dataset: DatasetSettings) -> DatasetKind[Any]:
    """Return the kind of a data set."""
    return KINDS[dataset.kind]
