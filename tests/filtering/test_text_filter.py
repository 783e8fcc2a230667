import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from slow_filter import Row, corpus, expected_of, hash_of, row

from openalign.engines.jobs import Jobs, run_jobs
from openalign.files import storage
from openalign.files.facts import FilterFacts, HostRows
from openalign.files.fingerprints import canonical_json
from openalign.files.manifest import StageResult
from openalign.files.schemas import CANDIDATE, with_reason
from openalign.files.states import FilterState
from openalign.files.tables import read_table, write_table
from openalign.filtering import text_filter
from openalign.filtering.config import FilterConfig, TextRules
from openalign.filtering.counts import counting
from openalign.filtering.thresholds import Coverage, MinCount, TopK


def write_candidates(folder: Path, files: Sequence[Sequence[Row]]) -> list[str]:
    names = [f"candidates-{number}.parquet" for number in range(len(files))]
    for name, rows in zip(names, files, strict=True):
        write_table(str(folder), name, pa.Table.from_pylist(list(rows), schema=CANDIDATE))
    return [str(folder / name) for name in names]


def config_of(rules: TextRules, num_buckets: int = 4) -> FilterConfig:
    return FilterConfig(text=rules, count_buckets=num_buckets)


def run(
    folder: Path,
    files: Sequence[Sequence[Row]],
    rules: TextRules,
    *,
    num_buckets: int = 4,
    flags: Sequence[str] = (),
) -> StageResult:
    work = str(folder / "out" / "work")
    jobs = text_filter.jobs(
        config_of(rules, num_buckets),
        candidates=write_candidates(folder, files),
        output=str(folder / "out"),
        work=work,
    )
    return run_jobs(jobs, work=work, beam_options=flags)


def facts_of(result: StageResult) -> FilterFacts:
    assert isinstance(result.facts, FilterFacts)
    return result.facts


def states_of(folder: Path, result: StageResult) -> dict[object, str]:
    found: dict[object, str] = {}
    for entry in result.files:
        if entry.name.endswith(".parquet"):
            for r in read_table(str(folder / "out" / entry.name)).to_pylist():
                assert r["key"] not in found
                found[r["key"]] = r.get("reason", "kept")
    return found


def vocabulary_of(folder: Path) -> list[int]:
    return np.fromfile(folder / "out" / "ngrams.u64", "<u8").tolist()


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((folder / "out").iterdir()) if p.is_file()}


RULES = [
    pytest.param(
        TextRules(frequent=MinCount(at_least=4), max_alt_texts_per_image=6, min_unigrams=2),
        id="count",
    ),
    pytest.param(
        TextRules(frequent=TopK(k=70), max_images_per_alt_text=5, max_unigrams=4, languages=()),
        id="top k",
    ),
    pytest.param(
        TextRules(
            frequent=Coverage(share=0.9), keep_unknown_language=False, languages=("en", "de")
        ),
        id="coverage",
    ),
    pytest.param(
        TextRules(frequent=TopK(k=500), language_from="page_or_text", min_unigrams=1),
        id="languages of pages, and of texts",
    ),
    pytest.param(
        TextRules(frequent=TopK(k=500), language_from="text", keep_unknown_language=False),
        id="languages of texts",
    ),
]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_a_slow_form_on_strings(tmp_path: Path, rules: TextRules, seed: int) -> None:
    rows = corpus(seed)
    expected = expected_of(rows, rules)

    result = run(tmp_path, [rows[:200], rows[200:]], rules)

    assert states_of(tmp_path, result) == expected.states
    assert vocabulary_of(tmp_path) == sorted(map(hash_of, expected.vocabulary))
    assert result.states == Counter(expected.states.values())
    assert result.num_inputs == len(rows)
    assert result.num_outputs == result.states["kept"] > 0
    for effect in facts_of(result).rules:
        rule = effect.rule
        assert effect.dropped == result.states.get(rule, 0)
        assert effect.alone == sum(rule in found for found in expected.flags.values())
        assert effect.only == sum(found == {rule} for found in expected.flags.values())


def test_every_rule_fires_in_the_random_corpora() -> None:
    rules = TextRules(
        frequent=MinCount(at_least=4), max_alt_texts_per_image=6, min_unigrams=2, max_unigrams=6
    )

    assert set(expected_of(corpus(0), rules).states.values()) == {s.value for s in FilterState}


@pytest.mark.parametrize(
    ("num_images", "state"),
    [
        pytest.param(10, "kept", id="ten images"),
        pytest.param(11, "alt_text_on_many_images", id="eleven"),
    ],
)
def test_an_alt_text_may_stand_on_ten_images(tmp_path: Path, num_images: int, state: str) -> None:
    rows = [row(f"http://a.example/{i}", "A red  apple") for i in range(num_images - 1)]
    rows.append(row("http://b.example/x", "a RED apple"))  # the same text in its one spelling
    rows.append(row("http://b.example/x", "a red apple"))  # and the same image again

    result = run(tmp_path, [rows], TextRules())

    assert result.states == {"kept": 0} | {state: num_images + 1}


@pytest.mark.parametrize(
    ("num_texts", "state"),
    [
        pytest.param(1000, "kept", id="a thousand alt-texts"),
        pytest.param(1001, "image_with_many_alt_texts", id="a thousand and one"),
    ],
)
def test_an_image_may_have_a_thousand_alt_texts(tmp_path: Path, num_texts: int, state: str) -> None:
    rows = [row("http://a.example/icon.gif", f"image number {i}") for i in range(num_texts)]

    result = run(tmp_path, [rows], TextRules())

    assert result.states == {"kept": 0} | {state: num_texts}


@pytest.mark.parametrize("top_k", [5, 6, 7])
def test_ties_at_the_cut_go_by_hash_and_leave_exactly_k(tmp_path: Path, top_k: int) -> None:
    # Unigrams a 4, b 3, c 3, d 1; bigrams a-b 3, a-c 1, b-c 1, c-d 1: the cut falls among ones.
    texts = ["a b", "a b c", "a b", "a c", "c d"]
    rows = [row(f"http://a.example/{i}", text) for i, text in enumerate(texts)]

    result = run(tmp_path, [rows], TextRules(frequent=TopK(k=top_k), min_unigrams=1), num_buckets=3)

    above = [("a",), ("b",), ("c",), ("a", "b")]
    tied = sorted([("d",), ("a", "c"), ("b", "c"), ("c", "d")], key=hash_of)
    assert vocabulary_of(tmp_path) == sorted(map(hash_of, [*above, *tied[: top_k - 4]]))
    ngrams = facts_of(result).ngrams
    assert (ngrams.count_at_cut, ngrams.num_tied_at_cut) == (1, 4)
    assert ngrams.num_tied_kept == top_k - 4
    assert (ngrams.num_unigrams, ngrams.num_bigrams, ngrams.num_kept) == (4, 4, top_k)
    assert ngrams.num_unigrams_kept + ngrams.num_bigrams_kept == top_k
    assert ngrams.num_occurrences == 11 + 6
    assert ngrams.num_occurrences_kept == 4 + 3 + 3 + 3 + top_k - 4


@pytest.mark.parametrize(
    ("flags", "num_buckets"),
    [
        pytest.param([], 1, id="one bucket"),
        pytest.param(["--direct_runner_bundle_repeat=2"], 16, id="each bundle twice"),
        pytest.param(
            ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
            4,
            id="two processes",
            marks=[pytest.mark.slow, pytest.mark.distributed],
        ),
    ],
)
def test_bytes_do_not_depend_on_buckets_or_runner(
    tmp_path: Path, flags: list[str], num_buckets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = TextRules(frequent=TopK(k=70), max_alt_texts_per_image=6, min_unigrams=2)
    rows = corpus(3)
    files = [rows[:7], rows[7:200], [], rows[200:]]

    whole = run(tmp_path / "a", files, rules)
    monkeypatch.setattr(counting, "FLUSH_ITEMS", 100)  # many small partials
    cut = run(tmp_path / "b", files, rules, num_buckets=num_buckets, flags=flags)

    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert canonical_json(whole.facts) == canonical_json(cut.facts)
    assert (whole.states, list(whole.files)) == (cut.states, list(cut.files))


def test_verdicts_do_not_depend_on_order_or_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = TextRules(frequent=TopK(k=70), max_alt_texts_per_image=6, min_unigrams=2)
    rows = corpus(3)
    shuffled = random.Random(1).sample(rows, len(rows))

    whole = run(tmp_path / "a", [rows], rules)
    monkeypatch.setattr(counting, "FLUSH_ITEMS", 100)
    cut = run(tmp_path / "b", [shuffled[:7], shuffled[7:200], [], shuffled[200:]], rules)

    assert states_of(tmp_path / "a", whole) == states_of(tmp_path / "b", cut)
    assert vocabulary_of(tmp_path / "a") == vocabulary_of(tmp_path / "b")
    assert canonical_json(whole.facts) == canonical_json(cut.facts)
    assert whole.states == cut.states


def test_each_file_of_candidates_becomes_one_of_kept_and_one_of_rejected(tmp_path: Path) -> None:
    rows = corpus(0)
    files = [rows[:200], [], rows[200:]]

    result = run(tmp_path, files, TextRules(frequent=MinCount(at_least=4)))

    tables = (f"{side}-{i}.parquet" for side in ("kept", "rejected") for i in range(3))
    assert {f.name for f in result.files} == {*tables, "ngrams.u64"}
    for number, own in enumerate(files):
        order = [r["key"] for r in own]
        num_rows = 0
        for side in ("kept", "rejected"):
            entry = next(f for f in result.files if f.name == f"{side}-{number}.parquet")
            url = str(tmp_path / "out" / entry.name)
            assert storage.sha256_of(url) == entry.sha256
            table = read_table(url)
            wanted = with_reason(CANDIDATE) if side == "rejected" else CANDIDATE
            assert table.schema.equals(wanted, check_metadata=True)
            places = [order.index(key) for key in table.column("key").to_pylist()]
            assert places == sorted(places)
            assert len(places) == entry.num_rows
            num_rows += entry.num_rows
        assert num_rows == len(own)


def test_a_run_killed_between_the_jobs_goes_on_with_the_second(tmp_path: Path) -> None:
    rules = TextRules(frequent=MinCount(at_least=4))
    rows = corpus(0)
    run(tmp_path / "whole", [rows], rules)
    killed = tmp_path / "killed"
    write_candidates(killed, [rows])
    work = str(killed / "out" / "work")
    jobs = text_filter.jobs(
        config_of(rules),
        candidates=[str(killed / "candidates-0.parquet")],
        output=str(killed / "out"),
        work=work,
    )
    nothing = StageResult(num_inputs=0, states={}, num_outputs=0, files=[])
    first = Jobs(jobs=jobs.jobs[:1], collect=lambda _: nothing)
    run_jobs(first, work=work)
    for path in (killed / "out" / "work").glob("counts-*"):
        path.unlink()  # would be there again, had the first job run again
    (killed / "out" / "kept-0.parquet").write_bytes(b"half a file")

    run(killed, [rows], rules)

    assert content(killed) == content(tmp_path / "whole")
    assert not list((killed / "out" / "work").glob("counts-*"))


def test_a_run_killed_in_the_first_job_counts_anew(tmp_path: Path) -> None:
    rules = TextRules(frequent=MinCount(at_least=4))
    run(tmp_path / "whole", [corpus(0)], rules)
    left = tmp_path / "killed" / "out" / "work"
    left.mkdir(parents=True)
    for name in ("ngrams-00000.u64", "ngrams-00009.u64", "images-00001.u64", "counts-00002.u64"):
        (left / name).write_bytes(b"\1" * 8)

    run(tmp_path / "killed", [corpus(0)], rules)

    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.mark.parametrize(
    "files", [pytest.param([[]], id="no rows"), pytest.param([], id="no files")]
)
def test_an_empty_corpus_leaves_nothing(tmp_path: Path, files: list[list[Row]]) -> None:
    result = run(tmp_path, files, TextRules())

    assert (result.num_inputs, result.num_outputs, result.states) == (0, 0, {"kept": 0})
    assert vocabulary_of(tmp_path) == []
    assert facts_of(result).ngrams.num_kept == 0


def test_people_see_top_texts_hosts_and_examples(tmp_path: Path) -> None:
    rows = [row(f"http://big.example:81/{i}", "Read more here") for i in range(13)]
    rows += [row(f"http://big.example:81/b{i}", "click this link") for i in range(12)]
    rows += [row(f"https://small.example/{i}", f"only {i}") for i in range(8)]
    rows += [row("http://small.example/", "a good caption stays")]

    facts = facts_of(run(tmp_path, [rows], TextRules()))

    assert [(t.alt_text, t.rows, t.rule) for t in facts.top_texts] == [
        ("Read more here", 13, "alt_text_on_many_images"),
        ("click this link", 12, "alt_text_on_many_images"),
    ]
    smallest = min(str(r["key"]) for r in rows if r["alt_text"] == "Read more here")
    assert facts.top_texts[0].key == smallest
    assert facts.top_hosts == [
        HostRows(host="big.example:81", rows=25, kept=0),
        HostRows(host="small.example", rows=9, kept=1),
    ]
    short = sorted(str(r["key"]) for r in rows if str(r["alt_text"]).startswith("only"))
    assert [e.key for e in facts.examples["too_few_unigrams"]] == short[:5]
    # One example a text, however often it was dropped.
    assert len(facts.examples["alt_text_on_many_images"]) == 2
