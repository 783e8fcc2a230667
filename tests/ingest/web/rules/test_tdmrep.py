import json
from typing import Any

import pytest

from openalign.ingest.web.rules.tdmrep import tdm_rules_from

SITE = "http://site.example"


def rule(location: str, reservation: Any = 1, **more: Any) -> dict[str, Any]:
    return {"location": location, "tdm-reservation": reservation, **more}


@pytest.mark.parametrize(
    ("rules", "path", "is_reserved"),
    [
        pytest.param([rule("/")], "/x.jpg", True, id="everything"),
        pytest.param([rule("/", 0)], "/x.jpg", False, id="nothing"),
        pytest.param([], "/x.jpg", False, id="no rule"),
        pytest.param([rule("/a/"), rule("/")], "/b", True, id="the first that matches"),
        pytest.param([rule("/a/*.jpg$", 0), rule("/")], "/a/x.jpg", False, id="first, and frees"),
        pytest.param([rule("/a/*.jpg$", 0), rule("/")], "/a/x.jpg?1", True, id="does not match"),
        pytest.param([rule("/"), rule("/a/free", 0)], "/a/free", True, id="not the longest"),
        pytest.param([rule("/foo-%24")], "/foo-$", True, id="the standard's escape"),
        pytest.param(
            [rule("/", **{"tdm-policy": "https://site.example/policy"})], "/x", True, id="a policy"
        ),
        pytest.param([rule("/", 2)], "/x", False, id="no value of the standard's"),
        pytest.param([rule("/", "1")], "/x", True, id="in quotation marks"),
        pytest.param([rule("/", 1.0)], "/x", True, id="with a point"),
        pytest.param([rule("/", 0.0), rule("/")], "/x", False, id="none, with a point"),
        pytest.param([rule("/", value) for value in (None, True)], "/x", True, id="true"),
        pytest.param(
            [{"location": "/"}, {"tdm-reservation": 1}, 5, rule("/")], "/x", True, id="half rules"
        ),
        pytest.param(rule("/"), "/x", True, id="no brackets"),
    ],
)
def test_an_origin_reserves(rules: Any, path: str, *, is_reserved: bool) -> None:
    assert tdm_rules_from(json.dumps(rules).encode()).reserve(SITE + path) == is_reserved


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<!doctype html><title>Not found</title>", id="a page"),
        pytest.param(b'{"error": "not found"}', id="another object"),
        pytest.param(b'[{"location": "/", "tdm-reservation": 1},]', id="a comma too many"),
        pytest.param(b'[{"location": "/', id="cut"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'[{"location": "/\xff", "tdm-reservation": 1}]', id="not UTF-8"),
        pytest.param(b'[{"location": "/\\ud800", "tdm-reservation": 1}]', id="half a character"),
    ],
)
def test_a_file_that_breaks_the_standard_reserves_nothing(body: bytes) -> None:
    assert not tdm_rules_from(body).reserve(f"{SITE}/x")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_file(encoding: str) -> None:
    body = json.dumps([rule("/")]).encode(encoding)

    assert tdm_rules_from(body).reserve(f"{SITE}/x")
