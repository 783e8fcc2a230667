"""What each argument of img2dataset's `download` becomes here, or why it becomes nothing.

A translation names settings by their key path. Where there is no counterpart, it says why.
"""

import ast
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from openalign.errors import ConfigError
from openalign.ingest.sources.url_tables.found import format_of

Given = Mapping[str, Any]
"""The arguments that a command gives, by name."""


@dataclass(frozen=True, slots=True)
class Translation:
    """What one argument becomes."""

    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """By key path; empty where there is no counterpart."""

    remark: str = ""
    """What is different, or why there is no counterpart."""


FORMATS = ("parquet", "csv", "tsv", "json", "jsonl")
"""Input formats with captions; each but Parquet also as `csv.gz`."""

_READ_AS = {"tsv": ("tsv", "txt"), "jsonl": ("jsonl", "json"), "parquet": ("parquet", None)}
"""Formats whose files may also have other endings, or none."""

_ENDING = re.compile(r"\.[A-Za-z]\w*\Z")

_UNLIMITED_RATIO = 1_000_000.0

_SHARDS = "shards are always webdataset tars with an index and a ledger in Parquet"
_NEVER_ENLARGED = "an image is never enlarged"
_RESIZED = {
    "keep_ratio": "",
    "keep_ratio_largest": "the shorter side is bounded, not the longer one",
    "border": "no border is added: training resizes and crops",
}


# Values -------------------------------------------------------------------------------------------


def whole_number(name: str, value: Any) -> int:
    """Return a value as a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"--{name}={value}: must be a whole number")
    return value


def number(name: str, value: Any) -> float:
    """Return a value as a number; `inf` is one."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"--{name}={value}: must be a number") from None


def is_true(name: str, value: Any) -> bool:
    """Return a value as true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"--{name}={value}: must be True or False")
    return value


def one_of(name: str, value: Any, allowed: Sequence[str]) -> str:
    """Return a value that is one of several words."""
    if value not in allowed:
        raise ConfigError(f"--{name}={value}: must be one of {', '.join(allowed)}")
    return str(value)


def words(name: str, value: Any) -> list[str]:
    """Return a value as a list of words, also as a shell leaves it: `[a,b]`."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        return [word.strip() for word in value[1:-1].split(",") if word.strip()]
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f'--{name}={value}: must be a list, such as \'["a","b"]\'')
    return [str(word) for word in cast("Sequence[Any]", value)]


def parsed(text: str) -> Any:
    """Return a value as the command line of img2dataset reads it: a literal of Python, or text."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


# Arguments ----------------------------------------------------------------------------------------


def _url_list(value: Any, given: Given) -> Translation:
    ending = str(given.get("input_format", "txt"))
    path = str(value)
    if "*" not in path and not _is_file(path):
        pattern = f"{path.rstrip('/')}/*.{ending}"
        return Translation({"harvest.source.path": pattern}, "a folder, not a file")
    told = format_of(path)
    there = ending.removesuffix(".gz")
    if told not in _READ_AS.get(there, (there,)) and not ("*" in path and told is None):
        raise ConfigError(
            f"--url_list={path}: is no {there} by its ending, which says here how a file is read",
            hint=f"rename the file, or give it a second name: ln -s FILE FILE.{there}",
        )
    return Translation({"harvest.source.path": path})


def _is_file(path: str) -> bool:
    """Tell whether a path names a file: by a look if it is here, else by whether it has an ending.

    The number of a version is no ending. Of URLs only endings of tables count.
    """
    here = Path(path)
    if here.exists():
        return not here.is_dir()
    return format_of(path) is not None if "://" in path else _ENDING.search(path) is not None


def _input_format(value: Any, _: Given) -> Translation:
    ending = str(value)
    if ending.removesuffix(".gz") not in FORMATS:
        raise ConfigError(
            f"--input_format={ending}: a list of URLs has no captions, and pairs need both",
            hint=f"name a table with captions, as --input_format=parquet --caption_col=TEXT; "
            f"read are {', '.join(FORMATS)}",
        )
    if ending.startswith("tsv"):
        quoted = {"harvest.source.quoting": "doubled"}
        return Translation(quoted, "quotation marks mean what they meant there")
    return Translation({"harvest.source.kind": "table"}, "told by the files' ending")


def _url_col(value: Any, _: Given) -> Translation:
    return Translation({"harvest.source.url_column": str(value)})


def _caption_col(value: Any, _: Given) -> Translation:
    return Translation({"harvest.source.caption_column": str(value)})


def _save_additional_columns(value: Any, _: Given) -> Translation:
    if value is None:
        return Translation(remark="none are asked for")
    columns = words("save_additional_columns", value)
    return Translation({"harvest.source.carry_columns": columns}, "as JSON, in one column")


def _verify_hash(value: Any, _: Given) -> Translation:
    if value is None:
        return Translation(remark="none is asked for")
    pair = words("verify_hash", value)
    if len(pair) != 2:
        raise ConfigError(f"--verify_hash={value}: must be a column and a kind of hash")
    if pair[1] != "sha256":
        return Translation(remark=f"{pair[1]} is not looked at; a column of sha256 would be")
    return Translation({"harvest.source.sha256_column": pair[0]})


def _compute_hash(value: Any, _: Given) -> Translation:
    if value in ("sha256", None):
        return Translation(remark="the ledger always has the sha256 of the original")
    return Translation(remark="the ledger has the sha256 of the original, and no other hash")


def _image_size(value: Any, given: Given) -> Translation:
    if given.get("resize_mode") == "no":
        return Translation(remark="resize_mode=no does not look at it")
    return Translation(
        {"fetch.size_px": whole_number("image_size", value)},
        f"the shorter side of a stored image; {_NEVER_ENLARGED}",
    )


def _resize_mode(value: Any, _: Given) -> Translation:
    mode = one_of("resize_mode", value, ("no", "center_crop", *_RESIZED))
    if mode in ("no", "center_crop"):
        return Translation({"fetch.resize": "none" if mode == "no" else mode})
    return Translation(remark=_RESIZED[mode] or "as here: fetch.resize")


def _resize_only_if_bigger(value: Any, _: Given) -> Translation:
    is_true("resize_only_if_bigger", value)
    return Translation(remark=_NEVER_ENLARGED)


def _encode_quality(value: Any, given: Given) -> Translation:
    if given.get("encode_format") == "png":
        return Translation(remark="how much a PNG is compressed is not a setting")
    return Translation({"fetch.quality": whole_number("encode_quality", value)})


def _encode_format(value: Any, _: Given) -> Translation:
    encoding = one_of("encode_format", value, ("jpg", "png", "webp"))
    return Translation({"fetch.format": "jpeg" if encoding == "jpg" else encoding})


def _disable_all_reencoding(value: Any, _: Given) -> Translation:
    return Translation({"fetch.keep_original": is_true("disable_all_reencoding", value)})


def _number_sample_per_shard(value: Any, _: Given) -> Translation:
    count = whole_number("number_sample_per_shard", value)
    return Translation({"fetch.images_per_shard": count}, "those that fail leave a shard smaller")


def _thread_count(value: Any, _: Given) -> Translation:
    count = whole_number("thread_count", value)
    return Translation({"fetch.web.connections": count}, "transfers at one time, without threads")


def _processes_count(value: Any, _: Given) -> Translation:
    count = whole_number("processes_count", value)
    return Translation(
        remark="no setting; a run takes it behind `--`: -- --direct_running_mode=multi_processing "
        f"--direct_num_workers={count}"
    )


def _distributor(value: Any, _: Given) -> Translation:
    kind = one_of("distributor", value, ("multiprocessing", "pyspark", "ray"))
    how = {
        "multiprocessing": "no setting; Beam runs the jobs",
        "pyspark": "no setting; Beam runs the jobs on Spark, behind `--` (docs/cluster.md)",
        "ray": "Beam has no runner for Ray; it has those for Spark, Flink and Dataflow",
    }
    return Translation(remark=how[kind])


def _timeout(value: Any, _: Given) -> Translation:
    seconds = number("timeout", value)
    return Translation(
        {"fetch.web.connect_seconds": seconds, "fetch.web.first_byte_seconds": seconds},
        "a whole request has fetch.web.total_seconds",
    )


def _retries(value: Any, _: Given) -> Translation:
    count = whole_number("retries", value)
    return Translation({"fetch.web.num_retries": count}, "only of what can heal, after a pause")


def _min_image_size(value: Any, _: Given) -> Translation:
    smallest = whole_number("min_image_size", value)
    above = {"select.image.short_side_above_px": max(0, smallest - 1)}
    return Translation(above, f"a side of {smallest} is kept, as there")


def _max_image_area(value: Any, _: Given) -> Translation:
    area = number("max_image_area", value)
    if math.isinf(area):
        return Translation(remark="fetch.max_pixels bounds what is decoded")
    return Translation({"fetch.max_pixels": int(area)})


def _max_aspect_ratio(value: Any, _: Given) -> Translation:
    ratio = min(number("max_aspect_ratio", value), _UNLIMITED_RATIO)
    below = {"select.image.aspect_ratio_below": ratio}
    return Translation(below, "an image of just this ratio is dropped")


def _output_folder(value: Any, _: Given) -> Translation:
    return Translation({"root": str(value)}, "the run lives there; shards are in its `shards/`")


def _incremental_mode(value: Any, _: Given) -> Translation:
    mode = one_of("incremental_mode", value, ("incremental", "overwrite", "extend"))
    how = {
        "incremental": "always so: the same command goes on where it was",
        "overwrite": "no setting; `--yes` makes a complete harvest or fetch again",
        "extend": "nothing is added to a complete fetch; another table is another run",
    }
    return Translation(remark=how[mode])


def _disallowed_header_directives(value: Any, _: Given) -> Translation:
    if value is not None and not words("disallowed_header_directives", value):
        return Translation({"fetch.web.respect_opt_outs": False})
    return Translation(
        {"fetch.web.respect_opt_outs": True},
        "noai, noimageai, noimageindex, noindex, noml, none and TDM reservations, not a list",
    )


def _nothing(why: str) -> Callable[[Any, Given], Translation]:
    return lambda _, __: Translation(remark=why)


ARGUMENTS: dict[str, Callable[[Any, Given], Translation]] = {
    "url_list": _url_list,
    "image_size": _image_size,
    "output_folder": _output_folder,
    "processes_count": _processes_count,
    "resize_mode": _resize_mode,
    "resize_only_if_bigger": _resize_only_if_bigger,
    "upscale_interpolation": _nothing(_NEVER_ENLARGED),
    "downscale_interpolation": _nothing("the filter is not a setting"),
    "encode_quality": _encode_quality,
    "encode_format": _encode_format,
    "skip_reencode": _nothing("an image is encoded again, also if its size stays"),
    "output_format": _nothing(_SHARDS),
    "input_format": _input_format,
    "url_col": _url_col,
    "caption_col": _caption_col,
    "bbox_col": _nothing("nothing is blurred"),
    "thread_count": _thread_count,
    "number_sample_per_shard": _number_sample_per_shard,
    "extract_exif": _nothing("an image is turned upright by its EXIF, which is not kept"),
    "save_additional_columns": _save_additional_columns,
    "timeout": _timeout,
    "enable_wandb": _nothing("how a fetch goes stands in the terminal and in run.jsonl"),
    "wandb_project": _nothing("how a fetch goes stands in the terminal and in run.jsonl"),
    "oom_shard_count": _nothing("a shard is named by its bucket and number"),
    "compute_hash": _compute_hash,
    "verify_hash": _verify_hash,
    "distributor": _distributor,
    "subjob_size": _nothing("a fetch is one job, whose finished shards a rerun keeps"),
    "retries": _retries,
    "disable_all_reencoding": _disable_all_reencoding,
    "min_image_size": _min_image_size,
    "max_image_area": _max_image_area,
    "max_aspect_ratio": _max_aspect_ratio,
    "incremental_mode": _incremental_mode,
    "max_shard_retry": _nothing("the same command makes a shard that failed"),
    "user_agent_token": _nothing("the User-Agent is OpenALIGN/VERSION (+CONTACT): `web.contact`"),
    "disallowed_header_directives": _disallowed_header_directives,
}
"""In the order of img2dataset's signature, in which a command may give them without a name."""
