from pathlib import Path

import pytest
from dataset_identity import identity_of

from openalign.errors import InputError
from openalign.evaluate.datasets.ratings.simlex import KIND, SimLexDataset
from openalign.evaluate.datasets.ratings.word_pairs import WordPair, WordPairs

HEADER = (
    "word1\tword2\tPOS\tSimLex999\tconc(w1)\tconc(w2)\tconcQ\tAssoc(USF)\tSimAssoc333\tSD(SimLex)"
)
LINES = (
    HEADER,
    "aged\tyoung\tA\t1.50\t2.72\t2.81\t2\t7.25\t1\t0.41",
    "bird\tegg\tN\t10\t4.92\t4.97\t4\t0.11\t0\t1.2",
    "run\twalk\tV\t0\t3.01\t2.9\t1\t0\t0\t0.9",
)


def written(folder: Path, *lines: str, name: str = "SimLex-999.txt", end: str = "\n") -> str:
    (folder / name).write_text("".join(f"{line}\n" for line in lines), newline=end)
    return f"{folder}/{name}"


def read(path: str | Path) -> WordPairs:
    dataset = KIND.read(SimLexDataset(path=str(path)))
    assert isinstance(dataset, WordPairs)
    return dataset


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_pair_comes_with_what_people_said_of_it(tmp_path: Path, end: str) -> None:
    dataset = read(written(tmp_path, *LINES, end=end))

    assert dataset.pairs == [
        WordPair(
            word1="aged",
            word2="young",
            part_of_speech="A",
            similarity=1.5,
            concreteness_quartile=2,
            is_hard=True,
        ),
        WordPair(
            word1="bird",
            word2="egg",
            part_of_speech="N",
            similarity=10.0,
            concreteness_quartile=4,
            is_hard=False,
        ),
        WordPair(
            word1="run",
            word2="walk",
            part_of_speech="V",
            similarity=0.0,
            concreteness_quartile=1,
            is_hard=False,
        ),
    ]
    assert dataset.images == ()


def test_the_folder_that_it_unpacks_to_is_the_same(tmp_path: Path) -> None:
    written(tmp_path, *LINES)
    (tmp_path / "README.txt").write_text("about")

    assert read(tmp_path).pairs == read(tmp_path / "SimLex-999.txt").pairs


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param(
            "a\tb\tX\t1\t1\t1\t1\t1\t1\t1", "POS must be one of A, N, V, got 'X'", id="POS"
        ),
        pytest.param("a\tb\tA\t10.1\t1\t1\t1\t1\t1\t1", "SimLex999 must be a number", id="high"),
        pytest.param("a\tb\tA\t-1\t1\t1\t1\t1\t1\t1", "SimLex999 must be a number", id="negative"),
        pytest.param("a\tb\tA\tx\t1\t1\t1\t1\t1\t1", "SimLex999 must be .*, got 'x'", id="word"),
        pytest.param("a\tb\tA\t1\t1\t1\t5\t1\t1\t1", "concQ must be one of 1, 2, 3, 4", id="concQ"),
        pytest.param("a\tb\tA\t1\t1\t1\t1\t1\t2\t1", "SimAssoc333 must be one of 0, 1", id="hard"),
        pytest.param("a\t \tA\t1\t1\t1\t1\t1\t1\t1", "a word is missing", id="no word"),
        pytest.param("a\tb\tA\t1", "has 4 cells, the first line has 10", id="cut off"),
    ],
)
def test_a_broken_line_is_refused_with_its_number(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path, *LINES, line)

    with pytest.raises(InputError, match=r"SimLex-999\.txt:5: " + message):
        read(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.txt:1: has no column POS, SimLex999"):
        read(written(tmp_path, "word1\tword2\tconcQ\tSimAssoc333", name="a.txt"))
    with pytest.raises(InputError, match=r"b\.txt: has no pairs"):
        read(written(tmp_path, HEADER, name="b.txt"))
    with pytest.raises(InputError, match=r"holds no SimLex-999\.txt"):
        read(tmp_path)


def test_a_file_is_recognized_by_its_first_line(tmp_path: Path) -> None:
    path = written(tmp_path, *LINES, end="\r\n")
    other = written(tmp_path, "Word 1\tWord 2\tHuman (mean)", name="combined.tab")

    assert KIND.recognize("simlex999", path) == SimLexDataset(path=path)
    assert KIND.recognize("simlex999", str(tmp_path)) == SimLexDataset(path=str(tmp_path))
    assert KIND.recognize("simlex999", other) is None


def test_its_fingerprint_is_that_of_its_content(tmp_path: Path) -> None:
    for name, lines in (("a", LINES), ("b", LINES), ("c", LINES[:3])):
        (tmp_path / name).mkdir()
        written(tmp_path / name, *lines)

    a, b, c = (identity_of(KIND, SimLexDataset(path=f"{tmp_path}/{name}")) for name in "abc")

    assert a == b
    assert a != c
