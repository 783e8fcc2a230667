"""What a whole fetch costs, projected from a sample of it. Pure.

Intervals hold 95 of 100 times, if images cost independently of each other. Totals are
ratio estimates (Cochran, Sampling Techniques, chapter 6): what there was for a candidate of the
sample, times all candidates, whose number is known.
"""

import math
from collections.abc import Sequence

import msgspec

from openalign.amounts import bytes_in_words, time_in_words
from openalign.files.states import FetchState
from openalign.ingest.fetch_sample import FetchedSample

_Z = 1.959964
"""The normal distribution's 97.5 % point."""

_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Those of Student's distribution, from one degree of freedom on."""

_NUM_HOSTS = 5


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """A projected number with its interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Amount":
        """Return it in another unit, or of more images."""
        return Amount(value=self.value * factor, low=self.low * factor, high=self.high * factor)


class HostHours(msgspec.Struct, frozen=True, kw_only=True):
    """A host that takes more than an hour."""

    host: str
    num_candidates: int
    requests_per_second: float
    hours: float


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a fetch costs."""

    num_candidates: int
    sampled_candidates: int
    sampled_images: int
    sampled_states: dict[str, int]
    """Images."""

    num_images: Amount
    success_rate: Amount
    cpu_seconds_per_image: Amount
    core_hours: Amount
    num_bytes: Amount
    """Of the originals."""

    stored_bytes: Amount
    cost_of_cores: Amount | None
    cost_of_storage_per_month: Amount | None
    slow_hosts: list[HostHours]


def project(
    sample: FetchedSample, *, price_core_hour: float | None, price_gb_month: float | None
) -> Estimate:
    """Return what a whole fetch costs, given what a sample did."""
    images = sample.images
    num_images = images.height
    weights = images["num_candidates"].to_list()
    scale = sample.num_candidates / sample.num_sampled
    # Of a sample that is the whole, what was counted is no guess.
    unseen = math.sqrt(1 - 1 / scale)
    states = dict(sorted(images["state"].value_counts().iter_rows()))
    seconds = [part.cpu_seconds for part in sample.parts]
    per_candidate = _ratio(seconds, [part.num_candidates for part in sample.parts])
    core_hours = per_candidate.times(sample.num_candidates / 3600)
    stored = _total(images["stored_bytes"].to_list(), weights, unseen).times(scale)
    return Estimate(
        num_candidates=sample.num_candidates,
        sampled_candidates=sample.num_sampled,
        sampled_images=num_images,
        sampled_states=states,
        num_images=_total([1] * num_images, weights, unseen).times(scale),
        success_rate=wilson(states.get(FetchState.FETCHED.value, 0), num_images, unseen),
        cpu_seconds_per_image=_ratio(seconds, [part.num_images for part in sample.parts]),
        core_hours=core_hours,
        num_bytes=_total(images["num_bytes"].to_list(), weights, unseen).times(scale),
        stored_bytes=stored,
        cost_of_cores=None if price_core_hour is None else core_hours.times(price_core_hour),
        cost_of_storage_per_month=(
            None if price_gb_month is None else stored.times(price_gb_month / 1e9)
        ),
        slow_hosts=[
            HostHours(
                host=host.host,
                num_candidates=host.num_rows,
                requests_per_second=host.requests_per_second,
                hours=host.seconds / 3600,
            )
            for host in sample.slow_hosts
        ],
    )


def wilson(successes: int, number: int, unseen: float = 1.0) -> Amount:
    """Return a share with its score interval (Wilson, 1927).

    `unseen` narrows it where the sample is much of the whole: the root of the share that is not
    in it.
    """
    share, z2 = successes / number, (_Z * unseen) ** 2 / number
    middle = (share + z2 / 2) / (1 + z2)
    half = math.sqrt(share * (1 - share) * z2 + z2**2 / 4) / (1 + z2)
    return Amount(value=share, low=max(0.0, middle - half), high=min(1.0, middle + half))


def _total(values: Sequence[float], weights: Sequence[int], unseen: float) -> Amount:
    """Return the sum of what was sampled, with the interval that it has for so much weight."""
    number, total = len(values), float(sum(values))
    if number < 2:
        return Amount(value=total, low=total, high=total)
    half = _Z * _spread(values, weights) * unseen
    return Amount(value=total, low=max(0.0, total - half), high=total + half)


def _ratio(values: Sequence[float], weights: Sequence[int]) -> Amount:
    """Return a ratio of sums over a few parts, with its interval."""
    weight = sum(weights)
    ratio = sum(values) / weight
    if len(values) < 2:
        return Amount(value=ratio, low=ratio, high=ratio)
    half = _T[min(len(values) - 1, len(_T)) - 1] * _spread(values, weights) / weight
    return Amount(value=ratio, low=max(0.0, ratio - half), high=ratio + half)


def _spread(values: Sequence[float], weights: Sequence[int]) -> float:
    """Return the standard deviation of the sum of values, for their sum of weights."""
    ratio, number = sum(values) / sum(weights), len(values)
    rest = (value - ratio * weight for value, weight in zip(values, weights, strict=True))
    return math.sqrt(number / (number - 1) * sum(each**2 for each in rest))


def as_json(estimate: Estimate) -> str:
    """Return the estimate as JSON, for programs."""
    return msgspec.json.format(msgspec.json.encode(estimate)).decode()


def lines(estimate: Estimate) -> list[str]:
    """Return the estimate as a table for a terminal, then the hosts that take longest."""
    found, num_images = estimate, estimate.num_images.value
    rows = [
        ("", "in all", "95 % interval", "an image"),
        ("images", f"{num_images:,.0f}", _interval(found.num_images, "{:,.0f}"), ""),
        (
            "fetched",
            f"{num_images * found.success_rate.value:,.0f}",
            _interval(found.success_rate.times(100), "{:.1f} %"),
            f"{100 * found.success_rate.value:.1f} %",
        ),
        (
            "core-hours",
            f"{found.core_hours.value:,.2f}",
            _interval(found.core_hours, "{:,.2f}"),
            f"{1000 * found.cpu_seconds_per_image.value:.1f} ms",
        ),
        _of_bytes("originals", found.num_bytes, num_images),
        _of_bytes("stored", found.stored_bytes, num_images),
    ]
    if (cores := found.cost_of_cores) is not None:
        rows.append(("cost of cores", f"{cores.value:,.2f}", _interval(cores, "{:,.2f}"), ""))
    if (kept := found.cost_of_storage_per_month) is not None:
        rows.append(("storage a month", f"{kept.value:,.2f}", _interval(kept, "{:,.2f}"), ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    table = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    sampled = f"{found.sampled_candidates:,} of {found.num_candidates:,} candidates"
    return [
        f"from {sampled}, which name {found.sampled_images:,} images",
        "",
        *table,
        "",
        *_about_hosts(found.slow_hosts),
    ]


def _of_bytes(name: str, amount: Amount, num_images: float) -> tuple[str, str, str, str]:
    interval = f"{bytes_in_words(amount.low)} to {bytes_in_words(amount.high)}"
    return name, bytes_in_words(amount.value), interval, bytes_in_words(amount.value / num_images)


def _interval(amount: Amount, form: str) -> str:
    return f"{form.format(amount.low)} to {form.format(amount.high)}"


def _about_hosts(hosts: Sequence[HostHours]) -> list[str]:
    if not hosts:
        return ["no host takes more than an hour"]
    return [
        f"{each.host}: {each.num_candidates:,} candidates, {time_in_words(3600 * each.hours)} at "
        f"{each.requests_per_second:g} requests a second"
        for each in hosts[:_NUM_HOSTS]
    ]
