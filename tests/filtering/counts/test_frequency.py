import random
from collections import Counter, defaultdict

import numpy as np
import pytest

from openalign.filtering.counts import frequency
from openalign.filtering.counts.tokens import U64
from openalign.filtering.thresholds import Coverage, Frequent, MinCount, TopK


def random_hashes(seed: int, number: int, distinct: int) -> U64:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2**64 - 1, distinct, dtype=np.uint64)
    return values[(rng.zipf(1.3, number) - 1) % distinct]


def merged(parts: list[U64], num_buckets: int) -> dict[int, tuple[U64, np.ndarray]]:
    pieces: dict[int, list[bytes]] = defaultdict(list)
    for part in parts:
        for bucket, piece in frequency.to_pieces(*frequency.count(part), num_buckets):
            pieces[bucket].append(piece)
    return {bucket: frequency.merge_counts(pieces[bucket]) for bucket in sorted(pieces)}


@pytest.mark.parametrize("num_buckets", [1, 3, 8, 256])
def test_a_bucket_is_a_range_of_hashes(num_buckets: int) -> None:
    starts = frequency.bucket_starts(num_buckets)

    assert starts[0] == 0
    assert frequency.buckets_of(starts, num_buckets).tolist() == list(range(num_buckets))
    below = starts[1:] - np.uint64(1)
    assert frequency.buckets_of(below, num_buckets).tolist() == list(range(num_buckets - 1))
    last = np.array([2**64 - 1], np.uint64)
    assert frequency.buckets_of(last, num_buckets).tolist() == [num_buckets - 1]


@pytest.mark.parametrize("num_buckets", [1, 5])
@pytest.mark.parametrize("cuts", [[], [1], [10, 9_000]])
def test_merged_counts_are_the_counts_of_the_whole(num_buckets: int, cuts: list[int]) -> None:
    hashes = random_hashes(1, 20_000, 3_000)
    expected = Counter(hashes.tolist())

    tables = merged(np.split(hashes, cuts), num_buckets)

    found = {
        int(h): int(c)
        for distinct, counts in tables.values()
        for h, c in zip(distinct, counts, strict=True)
    }
    assert found == expected
    in_order = np.concatenate([distinct for distinct, _ in tables.values()])
    assert (in_order[1:] > in_order[:-1]).all()


def test_long_tables_are_cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frequency, "PIECE_ITEMS", 10)
    hashes = random_hashes(2, 1_000, 95)

    pieces = list(frequency.to_pieces(*frequency.count(hashes), 2))

    assert len(pieces) >= 10
    assert max(len(piece) for _, piece in pieces) <= 8 + 10 * 16
    assert merged([hashes], 1)[0][1].sum() == 1_000


# Five n-grams in two buckets: counts 5 | 3, 3, 3, 1
HISTOGRAMS = {0: [(5, 1), (3, 1)], 1: [(3, 2), (1, 1)]}


@pytest.mark.parametrize(
    ("frequent", "at_count", "num_kept", "tied_kept"),
    [
        pytest.param(TopK(k=1), 5, 1, {0: 1, 1: 0}, id="the first"),
        pytest.param(TopK(k=2), 3, 2, {0: 1, 1: 0}, id="one of three ties, by hash"),
        pytest.param(TopK(k=3), 3, 3, {0: 1, 1: 1}, id="two of three ties"),
        pytest.param(TopK(k=4), 3, 4, {0: 1, 1: 2}, id="all ties"),
        pytest.param(TopK(k=5), 1, 5, {0: 0, 1: 1}, id="all"),
        pytest.param(TopK(k=6), 1, 5, {0: 0, 1: 1}, id="more than there are"),
        pytest.param(MinCount(at_least=3), 3, 4, {0: 1, 1: 2}, id="a count that occurs"),
        pytest.param(MinCount(at_least=4), 5, 1, {0: 1, 1: 0}, id="a count between"),
        pytest.param(MinCount(at_least=1), 1, 5, {0: 0, 1: 1}, id="every count"),
        pytest.param(MinCount(at_least=6), 5, 0, {0: 0, 1: 0}, id="a count above all"),
        # 15 occurrences: 5 are a third, 14 with the ties, 15 with the last.
        pytest.param(Coverage(share=0.33), 5, 1, {0: 1, 1: 0}, id="a third"),
        pytest.param(Coverage(share=0.34), 3, 4, {0: 1, 1: 2}, id="a little over a third"),
        pytest.param(Coverage(share=0.93), 3, 4, {0: 1, 1: 2}, id="14 of 15"),
        pytest.param(Coverage(share=0.94), 1, 5, {0: 0, 1: 1}, id="over 14 of 15"),
        pytest.param(Coverage(share=1.0), 1, 5, {0: 0, 1: 1}, id="everything"),
    ],
)
def test_the_cut_is_where_the_rules_say(
    frequent: Frequent, at_count: int, num_kept: int, tied_kept: dict[int, int]
) -> None:
    cut = frequency.choose_cut({0: HISTOGRAMS[0], 1: HISTOGRAMS[1]}, frequent)

    assert (cut.at_count, cut.num_kept, cut.tied_kept) == (at_count, num_kept, tied_kept)
    assert cut.num_tied == {5: 1, 3: 3, 1: 1}[at_count]


def test_a_share_is_taken_as_it_is_written() -> None:
    """0.07 of 100 is 7 occurrences; in floating point it is a little more."""
    cut = frequency.choose_cut({0: [(7, 1), (1, 93)]}, Coverage(share=0.07))

    assert (cut.at_count, cut.num_kept) == (7, 1)


def test_an_empty_corpus_has_a_cut_that_keeps_nothing() -> None:
    cut = frequency.choose_cut({}, TopK())

    assert (cut.num_kept, cut.tied_kept) == (0, {})


def test_ties_are_kept_in_hash_order() -> None:
    cut = frequency.choose_cut({0: [(7, 1), (2, 3)]}, TopK(k=3))
    distinct = np.array([10, 20, 30, 40], np.uint64)

    kept = frequency.apply_cut(
        distinct, np.array([2, 2, 7, 2]), at_count=cut.at_count, num_tied_kept=cut.tied_kept[0]
    )

    assert kept.tolist() == [10, 20, 30]


@pytest.mark.parametrize("seed", range(5))
def test_top_k_is_exact_for_any_bucketing(seed: int) -> None:
    hashes = random_hashes(seed, 3_000, 400)
    ranked = sorted(Counter(hashes.tolist()).items(), key=lambda item: (-item[1], item[0]))
    top_k = 10 + 60 * seed

    for num_buckets in (1, 7):
        tables = merged(np.split(hashes, [1_000]), num_buckets)
        cut = frequency.choose_cut(
            {bucket: frequency.histogram(counts) for bucket, (_, counts) in tables.items()},
            TopK(k=top_k),
        )
        kept = np.concatenate(
            [
                frequency.apply_cut(
                    *table, at_count=cut.at_count, num_tied_kept=cut.tied_kept[bucket]
                )
                for bucket, table in tables.items()
            ]
        )
        assert kept.tolist() == sorted(h for h, _ in ranked[:top_k])


# Capped distinct sets -----------------------------------------------------------------------------


def over(pairs: list[tuple[int, int]], limit: int, num_parts: int, num_buckets: int) -> list[int]:
    """Keys with more than `limit` values, through partials that are capped and merged."""
    pieces: dict[int, list[bytes]] = defaultdict(list)
    for part in range(num_parts):
        rows = np.array(pairs[part::num_parts], np.uint64).reshape(-1, 2)
        capped = frequency.cap_distinct(rows[:, 0].copy(), rows[:, 1].copy(), limit + 1)
        for bucket, piece in frequency.pairs_to_pieces(*capped, num_buckets):
            pieces[bucket].append(piece)
    return [
        int(key)
        for bucket in sorted(pieces)
        for key in frequency.merge_pairs(pieces[bucket], limit)
    ]


@pytest.mark.parametrize(
    ("num_values", "found"),
    [
        pytest.param(10, [], id="on the limit"),
        pytest.param(11, [77], id="one above"),
    ],
)
def test_a_key_is_found_above_the_limit_of_different_values(
    num_values: int, found: list[int]
) -> None:
    pairs = [(77, value) for value in range(num_values)] * 3  # repeats do not count

    assert over(pairs, 10, 1, 1) == found
    assert over(pairs, 10, 4, 3) == found


@pytest.mark.parametrize("seed", range(4))
def test_capped_sets_find_what_whole_sets_do(seed: int) -> None:
    rng = random.Random(seed)
    keys = [rng.getrandbits(64) for _ in range(40)]
    pairs = [
        (keys[int(rng.expovariate(0.15)) % 40], rng.choice([5, 50, 2**63]) + rng.randrange(20))
        for _ in range(2_000)
    ]
    values: dict[int, set[int]] = defaultdict(set)
    for key, value in pairs:
        values[key].add(value)
    expected = sorted(key for key, found in values.items() if len(found) > 10)
    assert 0 < len(expected) < 40

    assert over(pairs, 10, 1, 1) == expected
    assert over(rng.sample(pairs, len(pairs)), 10, 7, 5) == expected


def test_what_is_left_of_a_key_is_bounded() -> None:
    keys = np.repeat(np.array([1, 2], np.uint64), [5_000, 3])
    values = np.arange(5_003, dtype=np.uint64) % np.uint64(1_000)

    kept_keys, kept_values = frequency.cap_distinct(keys, values, 11)

    assert Counter(kept_keys.tolist()) == {1: 11, 2: 3}
    assert sorted(kept_values[kept_keys == 1].tolist()) == list(range(11))


def test_pieces_are_capped_while_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frequency, "PIECE_ITEMS", 4)
    pairs = [(77, value) for value in range(3_000)] + [(5, 1)]

    assert over(pairs, 10, 10, 1) == [77]
    assert over(pairs, 2_999, 10, 1) == [77]
    assert over(pairs, 3_000, 10, 1) == []


def test_a_key_that_was_capped_early_is_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frequency, "PIECE_ITEMS", 4)  # capped once 256 pairs wait
    keys, values = np.full(330, 77, np.uint64), np.arange(330, dtype=np.uint64) % np.uint64(11)
    early = np.concatenate((keys, values)).tobytes()
    late = np.array([5, 1], np.uint64).tobytes()

    assert frequency.merge_pairs([early, late], 10).tolist() == [77]
    assert frequency.merge_pairs([early, late], 11).tolist() == []


# Collisions ---------------------------------------------------------------------------------------


def test_expected_collisions_are_pairs_within_a_kind_over_63_bits() -> None:
    assert frequency.expected_collisions(2, 0) == 2**-63
    assert frequency.expected_collisions(3, 4) == (3 + 6) / 2**63
    # 2.5 billion n-grams of ALIGN's scale, nearly all of them bigrams: a third of a pair.
    assert frequency.expected_collisions(50_000_000, 2_450_000_000) == pytest.approx(0.3256, 1e-3)


def test_expected_wrongly_frequent_is_dropped_times_kept_of_a_kind() -> None:
    assert frequency.expected_wrongly_frequent((2, 3), (5, 7)) == (10 + 21) / 2**63


def test_the_collision_formula_holds_on_short_hashes() -> None:
    """2,000 draws of 2**20 values collide in about 1,999,000 / 2**20 = 1.906 pairs."""
    rng = np.random.default_rng(3)
    pairs = 0
    for _ in range(400):
        _, counts = frequency.count(rng.integers(0, 2**20, 2_000, dtype=np.uint64))
        pairs += int((counts * (counts - 1) // 2).sum())

    assert pairs / 400 == pytest.approx(1.906, abs=0.25)
    assert frequency.expected_collisions(2_000, 0) * 2**63 / 2**20 == pytest.approx(1.906, abs=1e-3)
