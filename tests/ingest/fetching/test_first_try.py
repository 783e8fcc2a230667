"""What is left for later, what is left out, and how many shards are open at one time."""

import hashlib
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from faulty_web import SITE, Reply, Web, serve
from fetches import OTHER, bytes_of, config_of, image, image_file, ledger_of, row, rows_of, run
from patience import PATIENCE_SECONDS

from openalign.files.hashing import image_key
from openalign.files.removals import removals_of
from openalign.files.schemas import CANDIDATE
from openalign.files.states import FetchState
from openalign.ingest.fetching import byte_budget
from openalign.ingest.fetching.byte_budget import ByteBudget, Portion
from openalign.ingest.fetching.work_plan import NUM_CELLS, count_keys, first_untried

NUM_IMAGES = 20


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({f"/{n}.png": image(n) for n in range(NUM_IMAGES)}) as running:
        yield running


def states_of(folder: Path) -> dict[str, str]:
    """Return the state of each image by its URL."""
    return dict(ledger_of(folder).select("image_url", "state").iter_rows())


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted({candidate["image_url"] for candidate in rows}, key=image_key)


# A first try --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 9, 33, 34, 1000])
def test_the_first_images_by_key_are_tried_and_the_others_accounted_for(
    web: Web, tmp_path: Path, limit: int
) -> None:
    rows = rows_of([SITE], NUM_IMAGES)  # 34 candidates
    result = run(config_of(web, limit=limit), rows, tmp_path / "out")

    tried = [url for url, state in states_of(tmp_path / "out").items() if state == "fetched"]
    texts = [sum(c["image_url"] == url for c in rows) for url in in_order(rows)]
    fitting = sum(sum(texts[: n + 1]) <= limit for n in range(len(texts)))
    assert sorted(tried, key=image_key) == in_order(rows)[:fitting]
    assert sum(result.states.values()) == result.num_inputs == 34
    assert result.states["not_tried"] == 34 - result.num_outputs
    assert len(web.asked) == fitting + bool(fitting)  # and robots.txt


def test_the_key_that_a_limit_ends_at_is_that_of_a_slow_count() -> None:
    urls = [f"http://a.example/{n}" for n in range(3000)]
    batch = pa.RecordBatch.from_pylist([row(url, "cat") for url in urls], schema=CANDIDATE)
    counts = count_keys(batch)

    assert counts.sum() == 3000
    for limit in (1, 10, 1234, 2999):
        end, num_tried = first_untried(counts, limit)
        tried = sum(image_key(url) < end for url in urls)
        assert num_tried == tried
        # 3,000 keys in 262,144 cells: two in one are rare.
        assert limit - 1 <= tried <= limit
    assert first_untried(counts, 3000) == ("", 3000)
    assert first_untried(counts, 0)[1] == 0
    assert len(counts) == NUM_CELLS


@pytest.mark.parametrize(("num_spent", "num_tried"), [(7, 8), (9, 10), (10, 11), (20, 20)])
def test_a_budget_of_bytes_ends_a_bucket_at_an_image(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_spent: int, num_tried: int
) -> None:
    monkeypatch.setattr(byte_budget, "PORTIONS_AT_ONCE", 2)
    rows = [row(f"{SITE}/{n}.png", "cat") for n in range(NUM_IMAGES)]
    sizes = [len(image_file(int(url.split("/")[-1][:-4]))) for url in in_order(rows)]
    # So small a budget has portions of one image. Shards of 4: the third begins when what eight
    # images have is known. In a shard, two are open at one time.
    budget = sum(sizes[:num_spent])
    config = config_of(web, num_buckets=1, images_per_shard=4, max_total_bytes=budget)

    result = run(config, rows, tmp_path / "out")

    tried = [url for url, state in states_of(tmp_path / "out").items() if state == "fetched"]
    assert sorted(tried, key=image_key) == in_order(rows)[:num_tried]
    assert result.states["not_tried"] == NUM_IMAGES - num_tried
    assert len(web.asked) - 1 == num_tried  # and robots.txt


def test_a_budget_leaves_out_the_same_images_after_a_kill(web: Web, tmp_path: Path) -> None:
    rows = [row(f"{SITE}/{n}.png", "cat") for n in range(NUM_IMAGES)]
    size = sum(len(image_file(n)) for n in range(NUM_IMAGES)) / NUM_IMAGES
    config = config_of(web, num_buckets=1, images_per_shard=4, max_total_bytes=round(10 * size))
    run(config, rows, tmp_path / "whole")
    whole = bytes_of(tmp_path / "whole")
    states = states_of(tmp_path / "whole").values()
    assert {"fetched", "not_tried"} == set(states)

    for number in range(5):
        for left in tmp_path.glob("whole/*-00000-*"):
            if int(left.name.split("-")[2][:5]) >= number:
                left.unlink()
        run(config, rows, tmp_path / "whole")
        assert bytes_of(tmp_path / "whole") == whole


def spend(budget: ByteBudget, sizes: list[int], order: random.Random) -> list[int]:
    """Fetch images of these sizes in one shard, which end in some order; return the portions."""
    open_: list[tuple[Portion, int]] = []
    found: list[int] = []
    waiting = list(sizes)
    while waiting:
        while (portion := budget.next_portion()) is None:
            ended, size = open_.pop(order.randrange(len(open_)))
            ended.ended(size)
        if not portion.num_images:
            break
        portion.num_images = min(portion.num_images, len(waiting))
        open_ += [(portion, waiting.pop(0)) for _ in range(portion.num_images)]
        found.append(portion.num_images)
    return found


def test_portions_do_not_depend_on_the_order_in_which_images_end() -> None:
    rng = random.Random(0)
    sizes = [rng.randrange(200_000) for _ in range(2000)]

    first = spend(ByteBudget(50_000_000, 10_000), sizes, random.Random(1))

    assert 0 < sum(first) < len(sizes)
    for seed in range(2, 20):
        assert spend(ByteBudget(50_000_000, 10_000), sizes, random.Random(seed)) == first


@pytest.mark.parametrize("size", [1, 1_000, 50_000, 2_000_000])
@pytest.mark.parametrize("share", [1, 400_000, 15_600_000, 1_000_000_000])
def test_a_budget_is_exceeded_by_few_images(share: int, size: int) -> None:
    # 16 are asked for before anything is known, and some while the last ones are under way.
    num_images = sum(spend(ByteBudget(share, 10_000), [size] * 30_000, random.Random(0)))

    needed = min(30_000, -(-share // size))
    assert needed <= num_images <= needed + 16


def test_the_budget_is_far_while_two_times_the_open_shards_do_not_spend_it() -> None:
    # Four shards of 100 images, of 50,000 bytes each until something is known.
    assert ByteBudget(40_000_001, 100).is_far(0, at_once=4)
    assert not ByteBudget(40_000_000, 100).is_far(0, at_once=4)

    budget = ByteBudget(40_000_001, 100)
    for _ in range(3):
        budget.shard_ended({"fetched": 50, "http_gone": 50}, 10_000_000)
    # The fifth knows the first two: 20 MB, and 100 kB an image.
    assert not budget.is_far(5, at_once=4)
    # The fourth knows the first one alone, whatever has ended: 10 MB, and as much an image.
    assert not budget.is_far(4, at_once=4)
    assert budget.is_far(3, at_once=4)


def test_all_is_fetched_below_a_far_budget(web: Web, tmp_path: Path) -> None:
    rows = [row(f"{SITE}/{n}.png", "cat") for n in range(NUM_IMAGES)]
    config = config_of(web, num_buckets=1, images_per_shard=4)
    run(config, rows, tmp_path / "all")

    for number, budget in enumerate((10**9, 2_000_000)):
        within = replace(config, max_total_bytes=budget)
        run(within, rows, tmp_path / str(number))
        assert bytes_of(tmp_path / str(number)) == bytes_of(tmp_path / "all")


# Removals -----------------------------------------------------------------------------------------


def test_what_is_on_a_removal_list_is_not_asked_for_or_not_kept(web: Web, tmp_path: Path) -> None:
    rows = [row(f"{SITE}/{n}.png", "cat") for n in range(3)] + [row(f"{OTHER}/4.png", "cat")]
    removals = removals_of(
        [f"{SITE}/0.png"], ["other.example"], [hashlib.sha256(image_file(1)).hexdigest()]
    )

    result = run(config_of(web), rows, tmp_path / "out", removals=removals)

    assert states_of(tmp_path / "out") == {
        f"{SITE}/0.png": "removed",
        f"{SITE}/1.png": "removed",
        f"{SITE}/2.png": "fetched",
        f"{OTHER}/4.png": "removed",
    }
    assert sorted(web.asked) == ["/1.png", "/2.png", "/robots.txt"]
    assert result.states[FetchState.REMOVED] == 3


def test_a_redirect_to_what_is_on_a_removal_list_is_not_followed(web: Web, tmp_path: Path) -> None:
    for path, target in {"/away": f"{OTHER}/1.png", "/listed": "/2.png", "/well": "/3.png"}.items():
        web.routes[path] = Reply(status=302, headers=[("Location", target)])
    rows = [row(f"{SITE}{path}", "cat") for path in ("/away", "/listed", "/well")]
    removals = removals_of([f"{SITE}/2.png"], ["other.example"], [])

    run(config_of(web), rows, tmp_path / "out", removals=removals)

    assert states_of(tmp_path / "out") == {
        f"{SITE}/away": "removed",
        f"{SITE}/listed": "removed",
        f"{SITE}/well": "fetched",
    }
    assert sorted(web.asked) == ["/3.png", "/away", "/listed", "/robots.txt", "/well"]


# Shards that overlap ------------------------------------------------------------------------------


def test_other_shards_are_filled_while_one_waits(web: Web, tmp_path: Path) -> None:
    rows = [row(f"{SITE}/{n}.png", "cat") for n in range(NUM_IMAGES)]
    run(config_of(web, num_buckets=1, images_per_shard=5), rows, tmp_path / "whole")
    web.asked.clear()
    path = in_order(rows)[0].removeprefix(SITE)
    good, all_asked = web.routes[path], threading.Event()

    def slow(_: BaseHTTPRequestHandler) -> Reply:
        assert isinstance(good, Reply)
        assert all_asked.wait(PATIENCE_SECONDS)
        return good

    web.routes[path] = slow

    def last(_: BaseHTTPRequestHandler) -> Reply:
        all_asked.set()
        return image(int(in_order(rows)[-1].split("/")[-1][:-4]))

    # The last of 20, in the fourth shard, is asked for while the first still waits.
    web.routes[in_order(rows)[-1].removeprefix(SITE)] = last
    run(config_of(web, num_buckets=1, images_per_shard=5), rows, tmp_path / "out")

    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
