import pytest

from openalign.ingest.webpage.addresses.srcset import srcset_candidates


@pytest.mark.parametrize(
    ("srcset", "expected"),
    [
        pytest.param("a.png", "a.png", id="one"),
        pytest.param("a.png 1x, b.png 2x", "b.png", id="densities"),
        pytest.param("a.png 1.5x, b.png", "a.png", id="no descriptor is 1x"),
        pytest.param("a.png 2x, b.png 2x", "a.png", id="first of equals"),
        pytest.param("a,b.png 1x , c.png 640w", "c.png", id="comma in an address"),
        pytest.param(" ,, a.png 2x ,", "a.png", id="stray commas"),
        pytest.param("a.png nonsense", "a.png", id="broken descriptor"),
        pytest.param("", "", id="empty"),
        pytest.param(" , ", "", id="nothing but a comma"),
    ],
)
def test_largest_of_srcset(srcset: str, expected: str) -> None:
    assert next((c.raw for c in srcset_candidates(srcset)), "") == expected


@pytest.mark.parametrize(
    ("srcset", "expected"),
    [
        pytest.param("a 1w, b 3w, c 2w", [("b", 3, 1), ("c", 2, 1), ("a", 1, 1)], id="by width"),
        pytest.param("a .5x, b", [("b", 0, 1), ("a", 0, 0.5)], id="half a density"),
        pytest.param("a 1e2w, b 90w", [("a", 100, 1), ("b", 90, 1)], id="an exponent"),
        pytest.param("a 640w 480h, b 2x", [("a", 640, 1), ("b", 0, 2)], id="a height"),
        pytest.param("a -1x, b -5w", [("b", 0, 1), ("a", 0, 0)], id="below nothing"),
        pytest.param("a (2x, 3x) 4w, b", [("a", 4, 1), ("b", 0, 1)], id="parentheses"),
        pytest.param("a (2x, b", [("a", 0, 1)], id="a parenthesis that stays open"),
        pytest.param("a,b", [("a,b", 0, 1)], id="a comma without a space is part of it"),
        pytest.param("a, b", [("a", 0, 1), ("b", 0, 1)], id="a comma at an end"),
        pytest.param("a\n2x\t,\fb\r1x", [("a", 0, 2), ("b", 0, 1)], id="any white space"),
    ],
)
def test_candidates_of_a_srcset(srcset: str, expected: list[tuple[str, float, float]]) -> None:
    assert srcset_candidates(srcset) == expected
