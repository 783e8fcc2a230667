from pathlib import Path

import pytest

from openalign.errors import ConfigError
from openalign.filtering.config import (
    FilterConfig,
    HeldOut,
    ImageRules,
    NearDuplicates,
    SelectConfig,
    TextRules,
)
from openalign.filtering.thresholds import TopK
from openalign.run.config import load_pipeline
from openalign.settings.fields import identity

PIPELINE = """\
pairs:
  description: "a table of pairs"
  root: run
  harvest:
    source: {kind: table, path: pairs.csv}
"""


def test_the_defaults_are_the_papers() -> None:
    text, image = TextRules(), ImageRules()

    assert (text.max_images_per_alt_text, text.max_alt_texts_per_image) == (10, 1000)
    assert (text.min_unigrams, text.max_unigrams) == (3, 20)
    assert text.frequent == TopK(k=100_000_000)
    assert (image.short_side_above_px, image.aspect_ratio_below, image.max_alt_texts) == (
        200,
        3.0,
        1000,
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"min_unigrams": 5, "max_unigrams": 4},
            r"max_unigrams must be at least min_unigrams \(5\), got 4",
            id="bounds swapped",
        ),
        pytest.param({"min_unigrams": 0}, "min_unigrams must be at least 1", id="no words"),
        pytest.param({"languages": ("en-US",)}, "primary subtags", id="a region"),
        pytest.param({"languages": ("EN",)}, "primary subtags", id="upper case"),
        pytest.param(
            {"max_images_per_alt_text": 0}, "max_images_per_alt_text must be", id="no images"
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextRules(**given)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda: FilterConfig(count_buckets=0),
            "count_buckets must be from 1 to 32768, got 0",
            id="no buckets",
        ),
        pytest.param(
            lambda: SelectConfig(count_buckets=1 << 16), "count_buckets", id="many buckets"
        ),
        pytest.param(lambda: SelectConfig(num_files=0), "num_files", id="no files to select"),
        pytest.param(lambda: ImageRules(aspect_ratio_below=1.0), "aspect_ratio", id="ratio 1"),
        pytest.param(lambda: ImageRules(short_side_above_px=-1), "short_side", id="negative side"),
        pytest.param(lambda: ImageRules(max_alt_texts=0), "max_alt_texts", id="no alt-texts"),
        pytest.param(lambda: NearDuplicates(radius_bits=16), "radius_bits", id="wide radius"),
        pytest.param(lambda: NearDuplicates(radius_bits=-1), "radius_bits", id="negative radius"),
        pytest.param(lambda: HeldOut(benchmark="x", splits=()), "splits", id="no splits"),
    ],
)
def test_each_section_checks_itself(make: type, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_buckets_and_places_are_no_part_of_the_result() -> None:
    assert identity(FilterConfig(count_buckets=8)) == identity(FilterConfig(count_buckets=9))
    assert identity(SelectConfig(held_out=(HeldOut(benchmark="a"),))) == identity(
        SelectConfig(held_out=(HeldOut(benchmark="b"),))
    )
    assert identity(SelectConfig(num_files=8)) != identity(SelectConfig(num_files=9))


@pytest.mark.parametrize(
    ("section", "line", "key", "hint"),
    [
        pytest.param(
            "  filter:\n    text: {min_count: 2}\n",
            7,
            "filter.text.min_count",
            "write `frequent: {kind: min_count, at_least: N}`",
            id="a smallest count",
        ),
        pytest.param(
            "  filter:\n    text:\n      top_k: 5\n",
            8,
            "filter.text.top_k",
            "write `frequent: {kind: top_k, k: N}`",
            id="the k most frequent",
        ),
        pytest.param(
            "  filter:\n    text: {coverage: 0.9}\n",
            7,
            "filter.text.coverage",
            "write `frequent: {kind: coverage, share: S}`",
            id="a share",
        ),
        pytest.param(
            "  filter:\n    num_buckets: 4\n",
            7,
            "filter.num_buckets",
            "it is called `count_buckets` here",
            id="buckets of filter",
        ),
        pytest.param(
            "  select: {num_buckets: 4}\n",
            6,
            "select.num_buckets",
            "it is called `count_buckets` here",
            id="buckets of select",
        ),
    ],
)
def test_an_old_key_is_told_its_new_name(
    tmp_path: Path, section: str, line: int, key: str, hint: str
) -> None:
    path = tmp_path / "pipelines.yaml"
    path.write_text(PIPELINE + section)

    with pytest.raises(ConfigError, match=f":{line}: `{key}` is no longer a setting") as caught:
        load_pipeline(str(path), "pairs")

    assert caught.value.hint == hint


def test_languages_of_texts_are_judged_only_where_they_are_detected(tmp_path: Path) -> None:
    path = tmp_path / "pipelines.yaml"
    path.write_text(PIPELINE + "  filter:\n    text: {language_from: text}\n")

    with pytest.raises(ConfigError, match=r":7: `filter\.text\.language_from` is 'text'") as caught:
        load_pipeline(str(path), "pairs")
    assert caught.value.hint == "set `harvest.detect_languages: true`, or judge by `page`"
    load_pipeline(str(path), "pairs", ["harvest.detect_languages=true"])
    load_pipeline(str(path), "pairs", ["filter.text.languages=[]"])
    load_pipeline(str(path), "pairs", ["filter.text.language_from=page"])
