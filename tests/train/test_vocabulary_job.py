import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from openalign.errors import InputError
from openalign.files.tables import write_table
from openalign.train.data.vocabulary import load_vocabulary, vocabulary_of
from openalign.train.data.words import WordRules
from openalign.train.vocabulary_job import make_vocabulary

RULES = WordRules(normalization="nfc", split_symbols=True)


def random_texts(seed: int) -> list[str]:
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdeé\N{RED APPLE}", k=draw.randint(1, 6))) for _ in range(80)]
    return [" ".join(draw.choices(words, k=draw.randint(0, 6))) for _ in range(400)]


def make(folder: Path, texts: list[str], *, cut: int = 250, flags: tuple[str, ...] = ()) -> bytes:
    """Run the job on texts in two files and return the vocabulary's bytes."""
    folder.mkdir()
    names = ["training-00000-of-00002.parquet", "training-00001-of-00002.parquet"]
    for name, some in zip(names, (texts[:cut], texts[cut:]), strict=True):
        write_table(str(folder), name, pa.table({"alt_text": pa.array(some, pa.string())}))
    url = str(folder / "vocabulary.txt")
    make_vocabulary(
        url,
        [str(folder / name) for name in names],
        size=90,
        rules=RULES,
        work=str(folder / "work"),
        beam_options=flags,
    )
    return Path(url).read_bytes()


def test_the_job_learns_what_one_process_learns(tmp_path: Path) -> None:
    texts = random_texts(0)

    make(tmp_path / "job", texts)

    found = load_vocabulary(str(tmp_path / "job" / "vocabulary.txt"))
    assert found == vocabulary_of(texts, size=90, rules=RULES)
    assert len(found) == 90


@pytest.mark.parametrize("repeats", [1, 3])
def test_neither_bundles_nor_files_nor_repeats_matter(tmp_path: Path, repeats: int) -> None:
    texts = random_texts(1)
    flags = ("--direct_runner_bundle_repeat=2",)

    one = make(tmp_path / "one", texts)
    other = make(tmp_path / "other", texts[::-1] * repeats, cut=17, flags=flags)

    assert one == other


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("")])
def test_a_vocabulary_that_is_gone_is_learned_again_from_the_counts(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = tmp_path / "job"
    learned = make(folder, random_texts(1))
    path = folder / "vocabulary.txt"
    damage(path)

    make_vocabulary(str(path), ["never read"], size=90, rules=RULES, work=str(folder / "work"))

    assert path.read_bytes() == learned


def test_an_empty_vocabulary_is_none(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.txt").touch()

    with pytest.raises(InputError, match=r"vocabulary\.txt holds no word piece"):
        load_vocabulary(str(tmp_path / "vocabulary.txt"))


def test_a_vocabulary_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    url = str(tmp_path / "vocabulary.txt")
    Path(url).write_text("[PAD]\n")

    make_vocabulary(url, ["never read"], size=9, rules=RULES, work=str(tmp_path / "work"))

    assert Path(url).read_text() == "[PAD]\n"
    assert not (tmp_path / "work").exists()
