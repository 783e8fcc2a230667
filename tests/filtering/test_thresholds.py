"""What a threshold says and refuses; where it cuts stands in `counts/test_frequency.py`."""

from pathlib import Path

import pytest

from openalign.errors import ConfigError
from openalign.filtering.thresholds import Coverage, Frequent, MinCount, TopK
from openalign.run.config import load_pipeline


@pytest.mark.parametrize(
    ("frequent", "words"),
    [
        pytest.param(TopK(), "the most frequent 100,000,000", id="top k"),
        pytest.param(MinCount(at_least=2), "counted at least 2", id="count"),
        pytest.param(
            Coverage(share=0.9), "the most frequent that cover a share of 0.9", id="coverage"
        ),
    ],
)
def test_a_threshold_says_in_words_what_it_keeps(frequent: Frequent, words: str) -> None:
    assert frequent.in_words() == words


@pytest.mark.parametrize(
    ("text", "frequent"),
    [
        pytest.param("{}", TopK(k=100_000_000), id="nothing said"),
        pytest.param("{frequent: {kind: top_k, k: 7}}", TopK(k=7), id="top k"),
        pytest.param(
            "{frequent: {kind: min_count, at_least: 2}}", MinCount(at_least=2), id="count"
        ),
        pytest.param("{frequent: {kind: coverage, share: 1}}", Coverage(share=1.0), id="coverage"),
    ],
)
def test_a_threshold_is_read_by_its_kind(tmp_path: Path, text: str, frequent: Frequent) -> None:
    path = tmp_path / "pipelines.yaml"
    path.write_text(
        "pairs:\n  description: pairs\n  root: run\n"
        "  harvest: {source: {kind: table, path: pairs.csv}}\n"
        f"  filter: {{text: {text}}}\n"
    )

    assert load_pipeline(str(path), "pairs").filter.text.frequent == frequent
    with pytest.raises(ConfigError, match="has kind `rare`") as caught:
        load_pipeline(str(path), "pairs", ["filter.text.frequent.kind=rare"])
    assert caught.value.hint == "kinds are: top_k, min_count, coverage"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: TopK(k=0), "k must be at least 1, got 0", id="none of them"),
        pytest.param(
            lambda: MinCount(at_least=0), "at_least must be at least 1, got 0", id="count of zero"
        ),
        pytest.param(
            lambda: Coverage(share=0.0), "share must be above 0 and at most 1, got 0.0", id="none"
        ),
        pytest.param(
            lambda: Coverage(share=1.1), "share must be above 0 and at most 1, got 1.1", id="more"
        ),
    ],
)
def test_a_threshold_checks_itself(make: type, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
