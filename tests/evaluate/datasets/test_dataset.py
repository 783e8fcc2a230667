"""What a data set calls its images, and where they are once it is cut down to some of them."""

from dataclasses import replace

from embedded import image_called

from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.datasets.ratings.cxc_ratings import CxcDataset, RatedPair
from openalign.evaluate.datasets.ratings.word_pairs import WordPair, WordPairs

IMAGES = [
    image_called("a.png", "a0", "a1", split="val"),
    image_called("b.png", "b0", split="test"),
    image_called("c.png", split="val"),
    image_called("d.png", "d0", "d1", "d2", split="test"),
]


def rated(first: int, second: int, score: float = 3.0) -> RatedPair:
    return RatedPair(first=first, second=second, score=score, method="made up")


def test_images_are_kept_in_their_order() -> None:
    kept = Dataset(images=IMAGES, test_split="val").keeping([1, 3])

    assert [image.name for image in kept.images] == ["b.png", "d.png"]
    assert kept.test_split == "val"


def test_an_image_is_called_by_its_first_caption_with_a_word_else_by_its_class() -> None:
    classes = (ImageClass(id="n01", names=("cat", "house cat")), ImageClass(id="n02"))
    dataset = Dataset(images=IMAGES, classes=classes)
    bare = IMAGES[2]
    late, blank = (replace(bare, captions=each, label=0) for each in (("", "c1"), ("", " ")))
    images = [IMAGES[0], replace(bare, label=0), replace(bare, label=1), bare, late, blank]

    assert [dataset.title_of(image) for image in images] == ["a0", "cat", "n02", "", "c1", "cat"]


def test_rated_pairs_follow_their_images_and_captions() -> None:
    # Captions by their places: 0 a0, 1 a1, 2 b0, 3 d0, 4 d1, 5 d2.
    ratings = CxcDataset(
        images=IMAGES,
        image_pairs=[rated(1, 3), rated(0, 1), rated(3, 1, 4.0)],
        caption_image_pairs=[rated(2, 1), rated(0, 3), rated(5, 3), rated(4, 2)],
        caption_pairs=[rated(2, 5), rated(1, 2), rated(4, 3)],
    )

    kept = ratings.keeping([1, 3])

    # What is left: images 0 b, 1 d; captions 0 b0, 1 d0, 2 d1, 3 d2.
    assert kept.image_pairs == [rated(0, 1), rated(1, 0, 4.0)]
    assert kept.caption_image_pairs == [rated(0, 0), rated(3, 1)]
    assert kept.caption_pairs == [rated(0, 3), rated(2, 1)]


def test_the_content_is_all_that_numbers_depend_on() -> None:
    pair = WordPair(
        word1="a",
        word2="b",
        part_of_speech="N",
        similarity=1.0,
        concreteness_quartile=1,
        is_hard=False,
    )
    ratings = CxcDataset(
        images=IMAGES,
        image_pairs=[rated(1, 3)],
        caption_image_pairs=[rated(2, 1)],
        caption_pairs=[rated(2, 5)],
    )

    assert Dataset(images=IMAGES).content() != Dataset(images=IMAGES[1:]).content()
    assert WordPairs(pairs=[pair]).content() != WordPairs(pairs=[]).content()
    for changed in (
        {"image_pairs": [rated(1, 3, 3.1)]},
        {"caption_image_pairs": [rated(2, 0)]},
        {"caption_pairs": []},
    ):
        other = CxcDataset(
            **{
                "images": IMAGES,
                "image_pairs": ratings.image_pairs,
                "caption_image_pairs": ratings.caption_image_pairs,
                "caption_pairs": ratings.caption_pairs,
                **changed,
            }  # pyright: ignore[reportArgumentType]
        )
        assert other.content() != ratings.content(), changed
