"""Reads the text files of Flickr30K and Flickr8K captions. The first lines tell the form.

    token     12.jpg#0<TAB>A dog runs .            results_20130124.token, Flickr8k.token.txt
    piped     image_name| comment_number| comment  Kaggle's results.csv
              12.jpg| 0| A dog runs .
    numbered  the same with commas
    plain     image,caption                        clip_benchmark's lists, Kaggle's captions.txt
              12.jpg,A dog runs, fast .
    rows      raw,sentids,split,filename,img_id    the hub's flickr_annotations_30k.csv
              "[""A dog runs .""]",[0],test,12.jpg,0

Captions hold commas that nothing quotes: what follows the image's name is the caption. A name or a
caption that is quoted as a whole, as CSV has it, loses its quotes. Columns may be called in
capitals. The second of two must be called like captions, for tables of labels look alike. One row
of Kaggle's file lacks its second pipe (`2199200615.jpg| 4   A dog ...`): what follows the number is
the caption.
"""

import re
from dataclasses import dataclass, field

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.captions.split_lists import read_splits, without_extension
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.datasets.reading.captions import CaptionChecker
from openalign.evaluate.datasets.reading.folders import (
    check_inside,
    check_unique,
    glance,
    image_folder_near,
    split_of,
)
from openalign.evaluate.datasets.reading.image_folders import IMAGE_SUFFIXES
from openalign.evaluate.datasets.reading.text import read_csv, read_lines

_FOLDERS = ("flickr30k-images", "flickr30k_images", "images", "Images", "Flicker8k_Dataset")
CAPTION_COLUMNS = (
    "caption", "captions", "comment", "sentence", "text", "title", "description", "alt_text",
)  # fmt: skip
"""What the second of two columns is called, in lower case."""

_FORMS = (
    "its first line is like one of: 12.jpg#0<TAB>A dog, image_name| comment_number| comment, "
    "image,caption, raw,sentids,split,filename; for `caption` it may say "
    f"{', '.join(CAPTION_COLUMNS[1:])}"
)
_ENDING = rf"\.(?:{'|'.join(suffix[1:] for suffix in IMAGE_SUFFIXES)})"
_QUOTED_TEXT = r'"(?:[^"]|"")*"'
_LINE = {
    "token": re.compile(r"(?P<image>[^\t]+)#(?P<number>\d+)\t(?P<caption>.*)"),
    "piped": re.compile(r"(?P<image>[^|]+)\|\s*\d+(?:\s*\||\s)(?P<caption>.*)"),
    "numbered": re.compile(rf"(?P<image>{_QUOTED_TEXT}|[^,]+),\s*\d+\s*,(?P<caption>.*)"),
    "plain": re.compile(rf"(?P<image>{_QUOTED_TEXT}|.*?{_ENDING}),(?P<caption>.*)", re.IGNORECASE),
}
"""What a line of a form is like; `rows` is CSV."""

_NUMBERED = ["image_name", "comment_number", "comment"]
_ROWS = ("raw", "sentids", "split", "filename")
_ROWS_IMAGE = re.compile(rf"(?<=,)[^,\"]+{_ENDING}(?=,)", re.IGNORECASE)
_QUOTED = re.compile(_QUOTED_TEXT)

_TEXTS = msgspec.json.Decoder(list[str])
_NUMBERS = msgspec.json.Decoder(list[int])


@dataclass(slots=True)
class _FlickrImage:
    """An image as the file has it."""

    captions: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    split: str = ""


def read(path: str, *, folder: str, splits: str, max_captions: int) -> Dataset:
    """Return every image that is in a split; `folder` is where they lie.

    Raises:
        InputError: the file is of none of the forms, or breaks its own; or the file or list that
            tells the splits does not fit.
    """
    entries = _entries(path)
    notes = _split(path, entries, splits) if splits else ()
    captions = CaptionChecker(path, max_captions)
    otherwise = split_of(path)
    images: list[BenchmarkImage] = []
    for name, entry in entries.items():
        kept, ids = captions.check(name, entry.captions, entry.ids)
        images.append(
            BenchmarkImage(
                name=name,
                split=entry.split or otherwise,
                place=ImageFile(folder, name),
                captions=kept,
                caption_ids=ids,
            )
        )
    test = "test" if splits or any(entry.split for entry in entries.values()) else otherwise
    return Dataset(images=images, test_split=test, notes=(*notes, *captions.notes()))


def image_folder(path: str) -> str:
    """Return the folder in which the file's first image is found."""
    text = glance(path)
    form = form_of(text)
    lines = [*text.split("\n")[:2], "", ""]
    if form == "rows":
        found = _ROWS_IMAGE.search(lines[1])
        image = found[0] if found else ""
    else:
        found = _LINE[form].match(lines[_num_header_lines(form)]) if form else None
        image = _unquoted(found["image"].strip()) if found else ""
    return image_folder_near(path, image, _FOLDERS)


def form_of(text: str) -> str:
    """Return the name of the form that a text begins as, or nothing."""
    first, second, *_ = [*text.split("\n", 2), "", ""]
    if _LINE["token"].match(first):
        return "token"
    for form, separator in (("piped", "|"), ("numbered", ",")):
        if _column_names(first, separator) == _NUMBERED:
            return form
    columns = _column_names(first, ",")
    if set(columns).issuperset(_ROWS):
        return "rows"
    is_plain = len(columns) == 2 and columns[1] in CAPTION_COLUMNS
    return "plain" if is_plain and _LINE["plain"].match(second) else ""


def _column_names(line: str, separator: str) -> list[str]:
    return [name.strip().strip('"').lower() for name in line.split(separator)]


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if _QUOTED.fullmatch(cell) else cell


def _num_header_lines(form: str) -> int:
    return 0 if form == "token" else 1


def _entries(path: str) -> dict[str, _FlickrImage]:
    """Return the images in the order in which the file first names them."""
    lines = read_lines(path)
    form = form_of("\n".join(lines[:2]))
    if not form:
        raise InputError(f"{path}:1: is of no form of Flickr captions", hint=_FORMS)
    found = _rows(path) if form == "rows" else _lines(path, lines, form)
    if not found:
        raise InputError(f"{path}: has no captions")
    return found


def _lines(path: str, lines: list[str], form: str) -> dict[str, _FlickrImage]:
    """Read a caption a line."""
    found: dict[str, _FlickrImage] = {}
    begin = _num_header_lines(form)
    for number, line in enumerate(lines[begin:], start=begin + 1):
        if not line.strip():
            continue
        match = _LINE[form].fullmatch(line)
        if match is None:
            raise InputError(f"{path}:{number}: is not of the first line's form", hint=_FORMS)
        name = check_inside(f"{path}:{number}: the image", _unquoted(match["image"].strip()))
        entry = found.setdefault(name, _FlickrImage())
        caption = match["caption"].strip()
        if form == "token":
            entry.ids.append(f"{name}#{match['number']}")
        entry.captions.append(caption if form == "token" else _unquoted(caption))
    return found


def _rows(path: str) -> dict[str, _FlickrImage]:
    """Read an image a row, as CSV."""
    rows = read_csv(path, _ROWS, separator=",", form=_FORMS)
    found = [_row(f"{path}:{line}", *cells) for line, cells in rows]
    check_unique(path, (name for name, _ in found), of="row")
    return dict(found)


def _row(where: str, raw: str, sentids: str, split: str, filename: str) -> tuple[str, _FlickrImage]:
    try:
        captions = _TEXTS.decode(raw)
        ids = _NUMBERS.decode(sentids)
    except msgspec.MsgspecError as error:
        raise InputError(f"{where}: `raw` and `sentids` must be JSON lists: {error}") from error
    if len(ids) != len(captions):
        raise InputError(f"{where}: has {len(captions)} captions and {len(ids)} `sentids`")
    if not split:
        raise InputError(f"{where}: has no `split`")
    name = check_inside(f"{where}: `filename`", filename)
    return name, _FlickrImage(captions, [str(each) for each in ids], split)


def _split(path: str, entries: dict[str, _FlickrImage], splits: str) -> tuple[str, ...]:
    """Give each image its split, and remove those in none; return what that left out."""
    told = next((name for name, entry in entries.items() if entry.split), "")
    if told:
        raise InputError(f"{path}: tells the split of {told} itself", hint="leave `splits` out")
    split_by_name = read_splits(splits)
    num_before = len(entries)
    for name in list(entries):
        split = split_by_name.get(without_extension(name))
        if split is None:
            del entries[name]
        else:
            entries[name].split = split
    present = {without_extension(name) for name in entries}
    missing = next((name for name in split_by_name if name not in present), "")
    if missing:
        raise InputError(f"{path}: has no caption of {missing}, which {splits} names")
    num_left_out = num_before - len(entries)
    return (f"{path}: images in no split of {splits}: {num_left_out}",) if num_left_out else ()
