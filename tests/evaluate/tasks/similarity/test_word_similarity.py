"""Word similarity on a few words in the plane, and through the stage to the report."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from embedded import embedded_benchmark
from given import report_on, run_on

from openalign.errors import InputError
from openalign.evaluate import results
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.ratings.word_pairs import WordPair, WordPairs
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.metrics.vectors import unit_rows
from openalign.evaluate.tasks.contract import Material, Measured, Sampling
from openalign.evaluate.tasks.similarity import word_similarity
from openalign.evaluate.tasks.similarity.word_similarity import (
    WordSimilarityExamples,
    WordSimilarityFacts,
    WordSimilarityTask,
)
from openalign.files.facts import EvaluateFacts

TASK = WordSimilarityTask(benchmark="simlex")


def pair(words: str, similarity: float, tag: str = "N", *, quartile: int = 1) -> WordPair:
    first, second = words.split()
    return WordPair(
        word1=first,
        word2=second,
        part_of_speech=tag,
        similarity=similarity,
        concreteness_quartile=quartile,
        is_hard=tag == "V",
    )


# The words lie at these angles, in degrees; a pair's cosine falls with the angle between them.
ANGLES = {"cat": 0, "dog": 10, "car": 90, "run": 40, "walk": 100, "old": 180}
PAIRS = [
    pair("cat dog", 9.0, "N", quartile=4),  # place 1 of people; 10 degrees, place 1 of the model
    pair("cat car", 1.0, "N", quartile=4),  # 4; 90 degrees, 5
    pair("dog car", 2.0, "N", quartile=3),  # 3; 80 degrees, 4
    pair("run walk", 7.0, "V"),  # 2; 60 degrees, 3
    pair("old run", 0.5, "A"),  # 5; 140 degrees, 6
    pair("cat run", 0.2, "V"),  # 6; 40 degrees, 2
]


def measured(pairs: list[WordPair]) -> Measured[WordSimilarityFacts, WordSimilarityExamples]:
    words = word_similarity.words_of(pairs)
    angles = [math.radians(ANGLES[word]) for word in words]
    rows = unit_rows(np.array([[math.cos(angle), math.sin(angle)] for angle in angles]))
    material = Material(
        benchmark=embedded_benchmark(WordPairs(pairs=pairs), []),
        texts={},
        unprojected={"words": rows},
    )
    sampling = Sampling(bootstrap=Bootstrap(resamples=200, confidence=0.9, seed=0), num_examples=3)
    return word_similarity.measure(TASK, material, sampling)


def test_each_group_has_the_correlation_of_its_own_ranks() -> None:
    found = {m.name: m for m in measured(PAIRS).metrics}

    def value(group: str) -> float:
        return found[f"word_similarity/simlex/{group}/spearman"].value

    # Squared differences of the places: 0 1 1 1 1 16. 1 - 6 * 20 / (6 * 35).
    assert value("all") == pytest.approx(1 - 6 * 20 / 210)
    assert value("nouns") == pytest.approx(1.0)
    assert value("verbs") == pytest.approx(-1.0)
    assert value("hard") == pytest.approx(-1.0)
    assert value("conc_q4") == pytest.approx(1.0)
    assert value("adjs") == 0.0  # a single pair has no order
    assert "word_similarity/simlex/conc_q2/spearman" not in found
    every = found["word_similarity/simlex/all/spearman"]
    assert (every.n, every.chance) == (6, 0.0)
    assert every.low < every.value < every.high


def test_facts_and_examples_say_where_people_and_the_model_put_a_pair() -> None:
    found = measured(PAIRS)

    assert found.facts.num_words == 6
    assert found.facts.groups == (
        "all", "adjs", "nouns", "verbs", "conc_q1", "conc_q3", "conc_q4", "hard",
    )  # fmt: skip
    shown = found.examples.pairs
    places = {f"{p.word1} {p.word2}": (p.rating_place, p.cosine_place) for p in shown}
    assert len(places) == 3
    by_hand = {
        "cat dog": (1, 1), "cat car": (4, 5), "dog car": (3, 4),
        "run walk": (2, 3), "old run": (5, 6), "cat run": (6, 2),
    }  # fmt: skip
    assert places == {words: by_hand[words] for words in places}


def test_pairs_of_one_cosine_share_a_place() -> None:
    found = measured([pair("cat dog", 1), pair("dog cat", 2), pair("cat car", 0)])

    assert sorted(p.cosine_place for p in found.examples.pairs) == [1.5, 1.5, 3]
    # Ranks 2.5 2.5 1 and 2 3 1, less 2: 0.5 0.5 -1 and 0 1 -1: (0.5 + 1) / sqrt(1.5 * 2).
    (every, *_) = found.metrics
    assert every.value == pytest.approx(1.5 / math.sqrt(3.0))


@pytest.mark.parametrize(
    "dataset",
    [
        pytest.param(Dataset(images=[]), id="images"),
        pytest.param(WordPairs(pairs=[]), id="no pair"),
    ],
)
def test_a_data_set_without_pairs_is_refused(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="benchmark `simlex`: has no pairs of words"):
        word_similarity.needs(TASK, dataset)


def test_words_are_embedded_before_the_projection_and_shown(
    model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [pair("red green", 3), pair("red blue", 2.5), pair("big <b>light", 1, "A")]

    result = run_on(
        WordPairs(pairs=pairs), TASK, model=model_folder, root=tmp_path, monkeypatch=monkeypatch
    )
    html, markdown = report_on(tmp_path)

    assert (result.num_inputs, result.num_outputs) == (5, 5)
    states = np.load(tmp_path / "evaluate" / "embeddings" / "word_similarity-simlex-words.npy")
    assert states.shape == (5, 32)  # the hidden size, not the width of the projection
    assert "over 3 pairs of 5 words" in html
    assert "big, &lt;b&gt;light" in html
    assert "| big, &lt;b&gt;light |" in markdown
    assert isinstance(result.facts, EvaluateFacts)
    assert result.facts.headline[0].startswith("simlex, words: Spearman x 100 ")

    rated_anew = [replace(pairs[0], similarity=4.0), *pairs[1:]]
    before = results.read(f"{tmp_path}/evaluate/results.json").hashes
    run_on(
        WordPairs(pairs=rated_anew),
        TASK,
        model=model_folder,
        root=tmp_path / "again",
        monkeypatch=monkeypatch,
    )
    after = results.read(f"{tmp_path}/again/evaluate/results.json").hashes
    assert {name for name in before if before[name] != after[name]} == {"dataset/simlex"}
