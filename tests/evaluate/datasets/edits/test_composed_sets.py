from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset, EditQuery
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile


def query(reference: int, target: int | None, *group: int, category: str = "") -> EditQuery:
    return EditQuery(
        reference=reference, target=target, captions=("a",), group=group, category=category
    )


def dataset(*queries: EditQuery) -> ComposedDataset:
    return ComposedDataset(
        images=[
            BenchmarkImage(name=name, split="val", place=ImageFile("", name)) for name in "abcd"
        ],
        queries=queries,
        galleries={"": (0, 1, 2, 3), "some": (1, 3)},
    )


def test_queries_move_with_their_images() -> None:
    kept = dataset(query(0, 1), query(3, 1, 0, 1, 3), query(3, None), query(3, 2)).keeping([1, 3])

    assert [image.name for image in kept.images] == ["b", "d"]
    assert kept.queries == [query(1, 0, 0, 1), query(1, None)]
    assert kept.galleries == {"": (0, 1), "some": (0, 1)}


def test_with_all_images_nothing_changes() -> None:
    whole = dataset(query(0, 1, 0, 2, 3), query(3, None))

    kept = whole.keeping([0, 1, 2, 3])

    assert kept.content() == whole.content()
    assert list(kept.queries) == list(whole.queries)
    assert kept.galleries == whole.galleries


def test_its_content_tells_queries_and_galleries_apart() -> None:
    contents = [
        dataset(query(0, 1)).content(),
        dataset(query(0, 2)).content(),
        dataset(query(0, None)).content(),
        dataset(query(0, 1, 2)).content(),
        dataset(query(0, 1, category="some")).content(),
    ]

    assert all(first != other for n, first in enumerate(contents) for other in contents[n + 1 :])
