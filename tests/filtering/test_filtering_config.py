import pytest

from openalign.filtering.config import (
    FilterConfig,
    HeldOut,
    ImageRules,
    NearDuplicates,
    SelectConfig,
    TextRules,
)
from openalign.settings.fields import identity


def test_the_defaults_are_the_papers() -> None:
    text, image = TextRules(), ImageRules()

    assert (text.max_images_per_alt_text, text.max_alt_texts_per_image) == (10, 1000)
    assert (text.min_unigrams, text.max_unigrams) == (3, 20)
    assert (text.top_k, text.min_count, text.coverage) == (100_000_000, None, None)
    assert (image.short_side_above_px, image.aspect_ratio_below, image.max_alt_texts) == (
        200,
        3.0,
        1000,
    )


@pytest.mark.parametrize(
    "given", [{"min_count": 2}, {"coverage": 0.9}, {"min_count": 2, "top_k": None}, {"top_k": 5}]
)
def test_what_is_given_takes_the_place_of_the_default_threshold(given: dict[str, int]) -> None:
    rules = TextRules(**given)  # pyright: ignore[reportArgumentType]

    for name in ("top_k", "min_count", "coverage"):
        assert getattr(rules, name) == given.get(name)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"min_count": 2, "coverage": 0.5},
            "one of top_k, min_count and coverage must be set, got min_count and coverage",
            id="two thresholds",
        ),
        pytest.param(
            {"min_count": 2, "top_k": 7}, "got min_count and top_k: set the others", id="top_k too"
        ),
        pytest.param({"top_k": None}, "got none of them", id="no threshold"),
        pytest.param({"top_k": 0}, "top_k must be at least 1, got 0", id="top_k of zero"),
        pytest.param({"min_count": 0}, "min_count must be at least 1, got 0", id="count of zero"),
        pytest.param({"coverage": 0.0}, "coverage must be above 0.0", id="coverage of zero"),
        pytest.param({"coverage": 1.1}, "at most 1.0, got 1.1", id="coverage above one"),
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
        pytest.param(lambda: FilterConfig(num_buckets=0), "num_buckets", id="no buckets"),
        pytest.param(lambda: SelectConfig(num_buckets=1 << 16), "num_buckets", id="many buckets"),
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
    assert identity(FilterConfig(num_buckets=8)) == identity(FilterConfig(num_buckets=9))
    assert identity(SelectConfig(held_out=(HeldOut(benchmark="a"),))) == identity(
        SelectConfig(held_out=(HeldOut(benchmark="b"),))
    )
    assert identity(SelectConfig(num_files=8)) != identity(SelectConfig(num_files=9))
