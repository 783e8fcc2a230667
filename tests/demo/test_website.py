import hashlib
import json
from pathlib import Path

import pytest

from openalign.demo.class_tables import GROUP_NAMES, group_table, tone_table
from openalign.demo.openmoji import OpenMojiImage, distinct, group_of
from openalign.demo.website import alt_texts, assign_splits, composed_queries
from openalign.evaluate.datasets.labels import class_table
from openalign.evaluate.datasets.labels.class_table import ClassTableDataset


def image(name: str, code: str = "1F600", png: bytes = b"", group: str = "") -> OpenMojiImage:
    return OpenMojiImage(code=code, names={"en": name}, group=group, png=png)


def number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def code_with(place: int, start: int = 0) -> str:
    """Return a code whose image hash modulo 10 is `place`."""
    return next(
        f"{n:05X}" for n in range(start, start + 1000) if number(f"picture:{n:05X}") % 10 == place
    )


def test_a_name_is_taken_apart() -> None:
    toned = image("man firefighter medium-dark skin tone")

    assert toned.tones == ["medium-dark"]
    assert toned.base == ["man", "firefighter"]
    assert toned.concept == "firefighter"
    assert toned.is_varied
    assert image("woman").concept == "person"
    assert not image("red apple").is_varied


def test_images_with_equal_files_are_one() -> None:
    first, twin, other = (
        image("farmer", "A", b"1"),
        image("man farmer", "B", b"1"),
        image("cook", "C", b"2"),
    )

    assert distinct([first, twin, other]) == ([first, other], 3)


def test_splits_follow_the_hash_of_code_and_concept() -> None:
    # "farmer" and "cook" are not among the one concept in 16 that is held out whole.
    assert number("concept:farmer") % 16 != 0
    assert number("concept:cook") % 16 != 0
    held = next(
        w
        for w in (
            "singer",
            "judge",
            "pilot",
            "elf",
            "fairy",
            "mage",
            "baker",
            "zombie",
            "genie",
            "ninja",
            "guard",
            "student",
            "teacher",
            "scientist",
            "apple",
            "grapes",
            "melon",
            "lemon",
            "banana",
            "mango",
            "pear",
            "peach",
        )
        if number(f"concept:{w}") % 16 == 0
    )
    images = [
        image("man farmer", code_with(2)),
        image("woman cook", code_with(3)),
        image("woman farmer", code_with(0)),
        image("man cook", code_with(1)),
        image("farmer", code_with(0, 500)),
        image(held, code_with(2, 500)),
    ]

    splits = assign_splits(images)

    # A name without tone or gender is never asked for alone; a concept is held out with all it has.
    assert [splits[p.code] for p in images] == ["train", "train", "test", "val", "train", "hard"]


def test_an_image_whose_words_training_lacks_returns_to_training() -> None:
    known = image("man farmer", code_with(2))
    unknown = image("woman farmer", code_with(0))

    assert assign_splits([known, unknown]) == {known.code: "train", unknown.code: "train"}


def test_composed_queries_lead_to_the_test_split_only() -> None:
    light, dark = image("cook light skin tone", "A"), image("cook dark skin tone", "B")
    splits = {"A": "train", "B": "test"}

    assert list(composed_queries([light, dark], splits)) == [
        {
            "image": "A.png",
            "minus": "light skin tone",
            "plus": "dark skin tone",
            "target": "B.png",
            "kind": "tone",
        }
    ]
    assert list(composed_queries([image("man cook", "A"), image("woman cook", "B")], splits)) == [
        {"image": "A.png", "minus": "man", "plus": "woman", "target": "B.png", "kind": "gender"}
    ]


def test_the_site_calls_a_varied_image_by_parts_of_its_name_too() -> None:
    texts = alt_texts(image("man firefighter dark skin tone"))

    assert texts[0] == "man firefighter dark skin tone"
    assert all("man firefighter dark skin tone" in text for text in texts[:3])
    assert texts[3:] == ["man firefighter", "man dark skin tone", "firefighter dark skin tone"]
    assert len(alt_texts(image("red apple"))) == 5


@pytest.mark.parametrize(
    ("code", "group"),
    [
        pytest.param("1F347", "Food & Drink", id="listed"),
        pytest.param("1F3F4-200D-2620-FE0F", "Flags", id="spelled in full"),
        pytest.param("1F93C-1F3FB", "People & Body", id="a newer tone"),
        pytest.param("1FACD", "", id="newer than the list"),
    ],
)
def test_an_image_is_in_the_group_of_the_same_one_without_tones(code: str, group: str) -> None:
    groups = {
        "1F347": "Food & Drink",
        "1F3F4-200D-2620": "Flags",
        "1F93C": "People & Body",
    }

    assert group_of(code, groups) == group


IN_SPLITS = [
    image("grapes", "A", group="Food & Drink"),
    image("man dark skin tone", "B", group="People & Body"),
    image("handshake light skin tone dark skin tone", "C", group="People & Body"),
    image("woman light skin tone", "D", group="People & Body"),
    image("pirate flag", "E", group="Flags"),
    image("ballet dancer", "F"),
]
SPLITS = {"A": "train", "B": "test", "C": "val", "D": "hard", "E": "hard", "F": "test"}


def test_images_with_a_group_are_listed_and_what_retrieval_asks_for_is_held_out() -> None:
    assert group_table(IN_SPLITS, SPLITS) == (
        "image,class,split\n"
        "A.png,Food & Drink,train\n"
        "B.png,People & Body,test\n"
        "C.png,People & Body,train\n"
        "D.png,People & Body,test\n"
        "E.png,Flags,test\n"
    )


def test_images_of_one_tone_have_it_as_their_class() -> None:
    assert tone_table(IN_SPLITS, SPLITS) == (
        "image,class,split\nB.png,dark skin tone,test\nD.png,light skin tone,test\n"
    )


def test_the_tables_are_read_with_the_names_that_prompts_use(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text(group_table(IN_SPLITS, SPLITS))
    (tmp_path / "names.json").write_text(json.dumps(GROUP_NAMES))
    settings = ClassTableDataset(
        path=f"{tmp_path}/groups.csv", class_names=f"{tmp_path}/names.json"
    )

    found = class_table.read(settings)

    assert [each.names for each in found.classes] == [
        ("flag",),
        ("food", "drink"),
        ("person", "hand"),
    ]
    assert (found.test_split, found.train_split) == ("test", "train")
