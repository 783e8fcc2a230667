import json
from pathlib import Path
from typing import Any

import pytest
from transformers import EfficientNetImageProcessorPil

from openalign.errors import InputError
from openalign.files.folder import opened
from openalign.images.decoding import Policy
from openalign.train.data.saved_image_processor import read_image_processor
from openalign.train.saved_files import PROCESSOR_FILES

from saved_align import ALIGN_BASE, read_processor, save_processor  # isort: skip

NEWER, OLDER = PROCESSOR_FILES


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_processor(folder)
    return str(caught.value)


# Both forms of the file ---------------------------------------------------------------------------


def test_the_older_file_is_read_where_the_newer_has_no_image_processor(tmp_path: Path) -> None:
    theirs = EfficientNetImageProcessorPil(**ALIGN_BASE)
    theirs.save_pretrained(tmp_path)
    assert (tmp_path / OLDER).exists()

    before = read_processor(tmp_path)
    (tmp_path / NEWER).write_text('{"processor_class": "AlignProcessor"}')

    assert before == read_processor(tmp_path)
    assert (before.size, before.crop_size, before.rescale_offset) == ((40, 40), (32, 32), True)


def test_keys_that_version_4_wrote_are_known(tmp_path: Path) -> None:
    older = {
        **ALIGN_BASE,
        "image_processor_type": "EfficientNetImageProcessorFast",
        "processor_class": "AlignProcessor",
        "feature_extractor_type": None,
        "_valid_processor_keys": ["images", "do_resize"],
        "data_format": "channels_first",
        "default_to_square": True,
        "device": None,
        "disable_grouping": None,
        "do_convert_rgb": None,
        "do_pad": None,
        "input_data_format": None,
        "pad_size": None,
        "return_tensors": None,
    }
    (tmp_path / OLDER).write_text(json.dumps(older))
    found = read_processor(tmp_path)
    save_processor(tmp_path, ALIGN_BASE)

    assert read_processor(tmp_path) == found


def test_two_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    save_processor(tmp_path, ALIGN_BASE)
    other: dict[str, Any] = ALIGN_BASE | {"resample": 3}
    EfficientNetImageProcessorPil(**other).save_pretrained(tmp_path)

    assert f"{NEWER} and {OLDER} contradict each other: `resample` is 2 and 3" in refusal(tmp_path)


@pytest.mark.parametrize("newer", ["", "{}", '{"image_processor": {}}'])
def test_a_folder_that_says_nothing_of_its_images_has_no_processor(
    newer: str, tmp_path: Path
) -> None:
    if newer:
        (tmp_path / NEWER).write_text(newer)

    with opened(str(tmp_path)) as files:
        assert read_image_processor(files, Policy.PROCESSOR) is None


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"blur": 1}, "unknown field `blur`", id="unknown"),
        pytest.param(
            {"image_processor_type": "CLIPImageProcessor"},
            "`image_processor_type` must be absent, 'EfficientNetImageProcessor', ",
            id="another type",
        ),
        pytest.param({"do_resize": 1}, "Expected `bool | null`, got `int`", id="a number as flag"),
        pytest.param({"rescale_factor": "1"}, "Expected `float | null`, got `str`", id="text"),
        pytest.param({"rescale_factor": 0.0}, "Expected `float` > 0.0", id="nothing left"),
        pytest.param({"resample": 6}, "Expected `int` <= 5 - at `$.resample`", id="filter"),
        pytest.param(
            {"rescale_factor": None},
            "`rescale_factor` is null, and `do_rescale` needs it",
            id="null",
        ),
        pytest.param(
            {"include_top": True, "image_std": None},
            "`image_std` is null, and `include_top` needs it",
            id="null for the second division",
        ),
        pytest.param({"do_pad": True}, "`do_pad` must be absent, False, got True", id="padding"),
        pytest.param(
            {"data_format": "channels_last"},
            "`data_format` must be absent, 'channels_first', got 'channels_last'",
            id="channels last",
        ),
        pytest.param(
            {"image_mean": [0.5, 0.5]},
            "`image_mean` must be a number or 3 numbers, got [0.5, 0.5]",
            id="two colors",
        ),
        pytest.param(
            {"image_std": [0.5, 0.0, 0.5]},
            "`image_std` must be a number or 3 numbers above zero, got [0.5, 0.0, 0.5]",
            id="no deviation",
        ),
        pytest.param(
            {"size": {"longest_edge": 40}},
            "`size` must be a number, [height, width] or {'height': ..., 'width': ...} or "
            "{'shortest_edge': ...}, of 1 to 4096 pixels, got {'longest_edge': 40}",
            id="the longer side",
        ),
        pytest.param(
            {"size": {"shortest_edge": 40, "longest_edge": 60}}, "`size` must be", id="both sides"
        ),
        pytest.param({"size": [40, 40, 3]}, "`size` must be", id="three numbers"),
        pytest.param({"size": {"height": 0, "width": 4}}, "`size` must be", id="no pixels"),
        pytest.param({"size": 5000}, "of 1 to 4096 pixels", id="too large"),
        pytest.param(
            {"crop_size": {"shortest_edge": 32}}, "`crop_size` must be a number", id="crop's side"
        ),
        pytest.param(
            {"do_center_crop": False, "size": {"shortest_edge": 40}},
            "without `do_center_crop` and a `size` of height and width, images would have no",
            id="sizes of their own",
        ),
        pytest.param(
            {"do_center_crop": False, "do_resize": False}, "no common size", id="sizes as they are"
        ),
    ],
)
def test_what_is_not_honored_is_refused_by_name(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / OLDER).write_text(json.dumps(ALIGN_BASE | changes))
    older = refusal(tmp_path)
    assert message in older
    assert older.startswith(f"{tmp_path}/{OLDER}: ")

    (tmp_path / OLDER).unlink()
    (tmp_path / NEWER).write_text(json.dumps({"image_processor": ALIGN_BASE | changes}))
    assert message in refusal(tmp_path)
    assert refusal(tmp_path).startswith(f"{tmp_path}/{NEWER}: `image_processor`")


def test_code_of_a_folder_is_not_run(tmp_path: Path) -> None:
    save_processor(tmp_path, ALIGN_BASE)
    values = json.loads((tmp_path / NEWER).read_text())
    (tmp_path / NEWER).write_text(json.dumps(values | {"auto_map": {"AutoProcessor": "x.Y"}}))

    assert "`auto_map` names code to run, which is not done" in refusal(tmp_path)
