from datetime import date

import pytest

from openalign.ingest.web.rules.opt_outs import (
    forbids_following,
    opt_out_in,
    opt_out_on_page,
    withheld_by,
)
from openalign.ingest.web.rules.robots import training_in

TODAY = date(2026, 11, 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("noai", "noai", id="noai"),
        pytest.param("NoImageAI", "noimageai", id="noimageai, any case"),
        pytest.param("nofollow, noindex", "noindex", id="second of a list"),
        pytest.param("none", "none", id="none"),
        pytest.param("nofollow", None, id="nofollow alone"),
        pytest.param("noarchive, max-snippet: -1", None, id="nothing to us"),
        pytest.param("openalign: noai", "noai", id="said to us"),
        pytest.param("*: noai", "noai", id="said to all"),
        pytest.param("otherbot: noai", None, id="said to another"),
        pytest.param("otherbot: nofollow, noindex", None, id="the name holds for the list"),
        pytest.param("otherbot: noindex, openalign: noai", "noai", id="until the next name"),
        pytest.param(
            "unavailable_after: 25 Jun 2030 15:00:00 PST, noai", "noai", id="a value is no name"
        ),
        pytest.param("max-image-preview: large noai", "noai", id="behind a value, without a comma"),
        pytest.param('max-image-preview: large "noai"', "noai", id="behind a value, in quotes"),
        pytest.param("max-image-preview: large otherbot: noai", None, id="of another agent"),
        pytest.param("max-image-preview: none", None, id="a value"),
        pytest.param(
            "unavailable_after: 2030-06-25 noai", "noai", id="behind a date, without a comma"
        ),
        pytest.param(
            "unavailable_after: Wed, 02 Oct 2030 13:00:00 GMT, noai",
            "noai",
            id="a date with a comma is no name",
        ),
        pytest.param(
            "otherbot: unavailable_after: Wed, 02 Oct 2002 13:00:00 GMT, noai",
            None,
            id="a date does not end what a name limits",
        ),
        pytest.param("other-bot_2: noai", None, id="said to another, with all a name may have"),
        pytest.param("max-snippet: 5, noai", "noai", id="a number is no name"),
        pytest.param("", None, id="empty"),
        pytest.param("noaiart", None, id="a longer word"),
        pytest.param("noimageindex", "noimageindex", id="no images"),
        pytest.param("noml", "noml", id="no machine learning"),
        pytest.param("OpenALIGN/0.1: noai", "noai", id="said to us with a version"),
        pytest.param("otherbot/2.0: noai", None, id="said to another with a version"),
        pytest.param("OpenALIGN/0.1.0+local: noai", "noai", id="with a version of one's own"),
        pytest.param(
            "OpenALIGN/0.1.0 (+https://me.example/bot): noai", "noai", id="as the log has our name"
        ),
        pytest.param(
            "otherbot/2 (+https://me.example): noai, noindex", None, id="as it has another's"
        ),
        pytest.param(" NOAI ,\tNoImageIndex", "noai", id="odd case and spaces"),
        pytest.param("other.bot: noai", None, id="said to another with a dot"),
        pytest.param("noindex;nofollow", "noindex", id="semicolons"),
        pytest.param("noindex nofollow", "noindex", id="spaces"),
        pytest.param('"noai"', "noai", id="quotation marks"),
        pytest.param("noai:", "noai", id="a colon behind"),
        pytest.param("noai: yes", "noai", id="a value behind"),
        pytest.param(" : noai", "noai", id="a colon before"),
        pytest.param("max-image-preview: none", None, id="the value of another directive"),
        pytest.param("indexifembedded, noindex", "noindex", id="second of two"),
    ],
)
def test_robots_directives(value: str, expected: str | None) -> None:
    assert withheld_by(value, as_of=TODAY) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([("x-robots-tag", "noai")], "X-Robots-Tag: noai", id="one header"),
        pytest.param(
            [("x-robots-tag", "nofollow"), ("x-robots-tag", "none")],
            "X-Robots-Tag: none",
            id="second of two headers",
        ),
        pytest.param(
            [("x-robots-tag", "otherbot: noindex"), ("x-robots-tag", "nofollow")],
            None,
            id="a name ends with its header",
        ),
        pytest.param([("tdm-reservation", "1")], "TDM-Reservation: 1", id="reserved"),
        pytest.param([("tdm-reservation", "0")], None, id="not reserved"),
        pytest.param(
            [("tdm-reservation", "1"), ("tdm-policy", "https://site.example/policy.json")],
            "TDM-Reservation: 1",
            id="reserved, with a policy",
        ),
        pytest.param(
            [("tdm-policy", "https://site.example/policy.json")], None, id="a policy alone"
        ),
        pytest.param([("tdm-reservation", "1, 1")], "TDM-Reservation: 1", id="joined on the way"),
        pytest.param([("tdm-reservation", '"1";policy=x')], "TDM-Reservation: 1", id="in quotes"),
        pytest.param([("tdm-reservation", "2")], None, id="no value of the standard's"),
        pytest.param(
            [("content-usage", "train-ai=n;until=1")],
            "content-usage: train-ai=n",
            id="usage with a parameter",
        ),
        pytest.param(
            [("content-usage", "search=y, train-ai=n")], "content-usage: train-ai=n", id="usage"
        ),
        pytest.param([("content-usage", "train-ai=y")], None, id="usage that is granted"),
        pytest.param(
            [("content-signal", "ai-train=no")], "content-signal: ai-train=no", id="signal"
        ),
        pytest.param([("content-type", "noai")], None, id="another header"),
    ],
)
def test_headers_that_withhold(headers: list[tuple[str, str]], expected: str | None) -> None:
    assert opt_out_in(headers, as_of=TODAY) == expected


def test_a_page_withholds_itself_with_any_of_its_meta_elements() -> None:
    def withheld(*directives: str, reserves_tdm: bool = False) -> str | None:
        return opt_out_on_page(directives, reserves_tdm=reserves_tdm, as_of=TODAY)

    assert withheld("nofollow", "noai") == "noai"
    assert withheld("index, follow") is None
    assert withheld("index, follow", reserves_tdm=True) == "tdm-reservation"


@pytest.mark.parametrize(
    ("when", "is_over"),
    [
        pytest.param("2026-10-31", True, id="the day before"),
        pytest.param("2026-11-01", False, id="the day itself"),
        pytest.param("2026-10-31T23:59:59+00:00", True, id="ISO 8601 with a time"),
        pytest.param("31-Oct-2026 15:00:00 EST", True, id="RFC 850"),
        pytest.param("Saturday, 31-Oct-26 15:00:00 GMT", True, id="RFC 850 with two digits"),
        pytest.param("Saturday, 31-Oct-98 15:00:00 GMT", True, id="of the last century"),
        pytest.param("Sat, 31 Oct 2026 15:00:00 PST", True, id="RFC 822"),
        pytest.param("Sun, 01 Nov 2026 15:00:00 PST", False, id="RFC 822, the day itself"),
        pytest.param("October 31, 2026", True, id="month first"),
        pytest.param("November 2, 2026", False, id="month first, a day after"),
        pytest.param("2026/10/31", True, id="with slashes"),
        pytest.param("20261031T120000Z", True, id="ISO 8601, basic"),
        pytest.param("20261101", False, id="ISO 8601, basic, the day itself"),
        pytest.param("31.10.2026", True, id="with points"),
        pytest.param("1.11.2026", False, id="with points, the day itself"),
        pytest.param("Sat Oct 31 15:00:00 2026", True, id="C's asctime"),
        pytest.param("Sun Nov  1 15:00:00 2026", False, id="C's asctime, the day itself"),
        pytest.param("Sat Oct 31 15:00:00 UTC 2026", True, id="as `date` says it"),
        pytest.param("2026-10-1", True, id="ISO 8601 without a zero"),
        pytest.param("10/31/2026", False, id="slashes in an order that they do not tell"),
        pytest.param("1277424000", False, id="seconds"),
        pytest.param("31 Okt 2026", False, id="no month"),
        pytest.param("2026-13-31", False, id="no date"),
        pytest.param("soon", False, id="no number"),
    ],
)
@pytest.mark.parametrize("form", ["{}", "openalign: {}", "index, {}, follow"])
def test_a_date_that_is_over_withholds(form: str, when: str, *, is_over: bool) -> None:
    value = form.format(f"unavailable_after: {when}")

    assert withheld_by(value, as_of=TODAY) == ("unavailable_after" if is_over else None)
    assert withheld_by(f"otherbot: {value}", as_of=TODAY) is None or form.startswith("openalign")


@pytest.mark.parametrize(
    ("headers", "directives", "expected"),
    [
        pytest.param([], ["index, NoFollow"], True, id="meta element"),
        pytest.param([("x-robots-tag", "openalign: nofollow")], [], True, id="header"),
        pytest.param([("x-robots-tag", "otherbot: nofollow")], ["follow"], False, id="another"),
        pytest.param(
            [("x-robots-tag", "max-image-preview: large nofollow")], [], True, id="behind a value"
        ),
        pytest.param([("x-header", "nofollow")], [], False, id="another header"),
        pytest.param([], ["none"], True, id="none means both"),
    ],
)
def test_pages_whose_links_are_not_followed(
    headers: list[tuple[str, str]], directives: list[str], *, expected: bool
) -> None:
    assert forbids_following(headers, directives) is expected


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ("train-ai=y", True),
        ("search=y, train-ai=y;until=1", True),
        ("search=y;train-ai=y", None),
        ("x=1;train-ai=y", None),
        ("search=y;train-ai=n", False),
        ("train-ai=y;train-ai=n", False),
    ],
)
def test_a_parameter_may_reserve_and_grants_nothing(signals: str, *, expected: bool | None) -> None:
    assert training_in("content-usage", signals) is expected
