from dataclasses import replace

import pytest

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset, without_images
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.embedding.left_out import UnreadableImage, check_bound


def unreadable(number: int) -> list[UnreadableImage]:
    return [
        UnreadableImage(
            benchmark="coco",
            image=BenchmarkImage(
                name=f"{n}.jpg", split="test", place=ImageFile("/images", f"{n}.jpg")
            ),
            reason="it is broken",
        )
        for n in range(number)
    ]


@pytest.mark.parametrize(("number", "bound"), [(0, 0), (2, 2), (2, 3)])
def test_a_run_goes_on_within_the_bound(number: int, bound: int) -> None:
    check_bound(unreadable(number), num_images=5000, max_bad_images=bound)


def test_one_too_many_is_counted_and_named_with_the_setting_that_lets_it_pass() -> None:
    with pytest.raises(InputError) as caught:
        check_bound(unreadable(3), num_images=5000, max_bad_images=2)

    assert str(caught.value) == (
        "3 of 5,000 images cannot be used, and 2 may be left out:\n"
        "  coco: /images/0.jpg: it is broken\n"
        "  coco: /images/1.jpg: it is broken\n"
        "  coco: /images/2.jpg: it is broken"
    )
    assert "`evaluate.max_bad_images: 3`" in (caught.value.hint or "")


def test_an_image_is_named_in_one_line_whatever_its_name() -> None:
    (bad,) = unreadable(1)
    image = BenchmarkImage(name="a\nb", split="test", place=ImageFile("/images", "a\nb"))

    with pytest.raises(InputError, match=r"\n  coco: /images/a\\nb: it is broken$"):
        check_bound([replace(bad, image=image)], num_images=1, max_bad_images=0)


def test_the_first_ten_are_named() -> None:
    with pytest.raises(InputError) as caught:
        check_bound(unreadable(12), num_images=5000, max_bad_images=0)

    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert lines[-2:] == ["  coco: /images/9.jpg: it is broken", "  and 2 more"]


def test_a_data_set_knows_what_it_goes_without() -> None:
    whole = Dataset(images=[each.image for each in unreadable(3)])

    rest = without_images(without_images(whole, {"0.jpg"}), {"2.jpg"})

    assert [image.name for image in rest.images] == ["1.jpg"]
    assert rest.left_out == {"0.jpg", "2.jpg"}
