"""Reads lists of class names and of prompt templates, from libraries and from files.

Libraries are asked for their files and not imported: that would take seconds, and bring torch.
"""

import ast
import difflib
import re
import runpy
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from openalign.errors import InputError, MissingExtraError
from openalign.evaluate.datasets.class_names.known_lists import (
    CLASS_NAMES,
    CLIP_BENCHMARK,
    OPEN_CLIP,
    TEMPLATES,
    TORCHVISION,
    ListPlace,
)
from openalign.evaluate.datasets.dataset import ImageClass
from openalign.evaluate.datasets.reading.image_folders import is_number
from openalign.evaluate.datasets.reading.text import read_json, read_lines

EXTRA = "names"

_WNID = re.compile(r"n\d{8}")
_IMAGENET_KEY = "IMAGENET_CLASSNAMES"
_FILE_ENDS = (".txt", ".json")
_JSON_FORM = 'JSON of class names is {"class": ["name", ...], ...}'
_NAMES = msgspec.json.Decoder(dict[str, str | list[str]])
_OTHER_VERSION = (
    "another version of the library keeps it elsewhere; a known one is installed by "
    f"pip install 'openalign[{EXTRA}]'"
)
_DISTRIBUTIONS = {
    OPEN_CLIP: "open_clip_torch",
    CLIP_BENCHMARK: "clip_benchmark",
    TORCHVISION: "torchvision",
    "timm": "timm",
}


def is_wnid(text: str) -> bool:
    """Tell whether a text is the id of a WordNet noun, as ImageNet's classes are called."""
    return _WNID.fullmatch(text) is not None


def known_names(name: str) -> tuple[str, ...]:
    """Return a known list of class names. Raises InputError and MissingExtraError."""
    place = _place(name, CLASS_NAMES, what="class names")
    if place.library == OPEN_CLIP:
        return tuple(_open_clip_lists()[place.key])
    if place.library == TORCHVISION:
        return _torchvision_classes(place.key)
    return tuple(_clip_benchmark_lists("en_classnames.json")[place.key])


def known_templates(name: str) -> tuple[str, ...]:
    """Return a known list of templates. Raises InputError and MissingExtraError."""
    place = _place(name, TEMPLATES, what="templates")
    if place.library == OPEN_CLIP:
        filled: Sequence[Callable[[str], str]] = _open_clip_lists()[place.key]
        return tuple(fill("{}") for fill in filled)
    lists = _clip_benchmark_lists("en_zeroshot_classification_templates.json")
    return tuple(template.replace("{c}", "{}") for template in lists[place.key])


def named_classes(
    ids: Sequence[str], source: str, *, own: Mapping[str, str] | None = None
) -> tuple[ImageClass, ...]:
    """Return classes with what prompts call them.

    Args:
        ids: what the data set calls its classes, in their order.
        source: a known list, or a file: text with a name a line in the order of the classes, or
            JSON with the names of each class. Empty for the data set's own names.
        own: names that the data set itself gives, by id.

    Raises:
        InputError: the list or file is unknown or broken, or has no name for a class.
        MissingExtraError: the library that keeps the list is not installed.
    """
    if not source:
        own = own or {}
        return tuple(ImageClass(id=id_, names=(own[id_],) if id_ in own else ()) for id_ in ids)
    if source in CLASS_NAMES and CLASS_NAMES[source].key == _IMAGENET_KEY:
        names = _imagenet_names(ids)
    elif source not in CLASS_NAMES and source.lower().endswith(".json"):
        names = _names_in_json(ids, source)
    else:
        is_file = source not in CLASS_NAMES and source.lower().endswith(_FILE_ENDS)
        found = _names_in_text(source) if is_file else known_names(source)
        if len(found) != len(ids):
            raise InputError(
                f"class names `{source}`: there are {len(found)} names, and the data set has "
                f"{len(ids)} classes",
                hint="a list gives a name to each class in its order; JSON gives names by class",
            )
        names = [(name,) for name in found]
    return tuple(ImageClass(id=id_, names=of) for id_, of in zip(ids, names, strict=True))


def own_names(ids: Iterable[str]) -> dict[str, str]:
    """Return the names of classes that are called by words, by what the data set calls each.

    A synset or a number says nothing to people.
    """
    return {id_: id_.replace("_", " ") for id_ in ids if not is_wnid(id_) and not is_number(id_)}


@cache
def imagenet_wnids() -> tuple[str, ...]:
    """Return the 1,000 synsets of ImageNet-1k in the order of its classes, which is sorted.

    Raises:
        MissingExtraError: timm, which keeps them, is not installed.
    """
    listed = _file_of("timm", "data/_info/imagenet_synsets.txt").read_text(encoding="utf-8")
    return tuple(listed.split())


def _imagenet_names(ids: Sequence[str]) -> list[tuple[str, ...]]:
    """Return names by synset, or by class number for folders such as ImageNet-V2's."""
    names = known_names("imagenet")
    by_id = {str(number): name for number, name in enumerate(names)}
    if any(is_wnid(id_) for id_ in ids):
        by_id = dict(zip(imagenet_wnids(), names, strict=True))
    for id_ in ids:
        if id_ not in by_id:
            raise InputError(
                f"class names `imagenet`: `{id_}` is none of ImageNet's 1,000 classes",
                hint="they are synsets such as n01440764, or numbers from 0 to 999; give "
                "`class_names` a file for others",
            )
    return [(by_id[id_],) for id_ in ids]


def _names_in_text(source: str) -> tuple[str, ...]:
    names = [line.strip() for line in read_lines(source)]
    for number, name in enumerate(names, start=1):
        if not name:
            raise InputError(f"{source}:{number}: is blank", hint="each line is a class's name")
    return tuple(names)


def _names_in_json(ids: Sequence[str], source: str) -> list[tuple[str, ...]]:
    by_id = read_json(source, _NAMES, form=_JSON_FORM)
    names: list[tuple[str, ...]] = []
    for id_ in ids:
        found = by_id.get(id_, [])
        of_class = (found,) if isinstance(found, str) else tuple(found)
        if not of_class or not all(name.strip() for name in of_class):
            raise InputError(f"{source}: class `{id_}` has no name", hint=_JSON_FORM)
        names.append(tuple(name.strip() for name in of_class))
    return names


def _place(name: str, lists: Mapping[str, ListPlace], *, what: str) -> ListPlace:
    if name in lists:
        return lists[name]
    near = difflib.get_close_matches(name, lists, n=1)
    meant = f"did you mean `{near[0]}`? " if near else ""
    raise InputError(
        f"{what} `{name}`: there is no such list",
        hint=f"{meant}known lists are {', '.join(lists)}; a file ends in .txt or .json",
    )


@cache
def _open_clip_lists() -> dict[str, Any]:
    return runpy.run_path(str(_file_of(OPEN_CLIP, "zero_shot_metadata.py")))


@cache
def _clip_benchmark_lists(file: str) -> dict[str, list[str]]:
    decoder = msgspec.json.Decoder(dict[str, list[str]])
    return decoder.decode(_file_of(CLIP_BENCHMARK, f"datasets/{file}").read_bytes())


@cache
def _torchvision_classes(dataset: str) -> tuple[str, ...]:
    """Return the `classes` that a data set of torchvision's is written with."""
    source = _file_of(TORCHVISION, "datasets/mnist.py")
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == dataset:
            for line in node.body:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "classes":
                    return tuple(ast.literal_eval(line.value))
    raise InputError(f"{source}: has no classes of {dataset}", hint=_OTHER_VERSION)


def _file_of(library: str, path: str) -> Path:
    """Return a file of a library that is not imported for it."""
    spec = find_spec(library)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(_DISTRIBUTIONS[library], EXTRA)
    file = Path(spec.submodule_search_locations[0]) / path
    if not file.is_file():
        raise InputError(f"{file} is not there", hint=_OTHER_VERSION)
    return file
