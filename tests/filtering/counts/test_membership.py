import numpy as np

from openalign.filtering.counts.membership import absent, present


def test_absent_hashes_are_those_not_in_the_vocabulary() -> None:
    vocabulary = np.array([10, 20, 2**64 - 1], np.uint64)
    hashes = np.array([20, 5, 2**64 - 1, 10, 15, 20, 2**64 - 2], np.uint64)

    found = absent(hashes, vocabulary)

    assert found.tolist() == [False, True, False, False, True, False, True]
    assert present(hashes, vocabulary).tolist() == [not missing for missing in found]
    assert absent(hashes, vocabulary[:0]).all()
    assert not present(hashes, vocabulary[:0]).any()
    assert absent(hashes[:0], vocabulary).tolist() == []
