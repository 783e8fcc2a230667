from openalign.evaluate.tasks.benchmark import owners


def test_owners_follow_the_captions() -> None:
    assert owners([("a", "b"), ("c",), ("d", "e")]).tolist() == [0, 0, 1, 2, 2]
