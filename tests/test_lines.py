"""Lines of a text, as files have them."""

import pytest

from openalign.lines import lines_of, one_line
from openalign.telemetry import read_json_lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("", [], id="none"),
        pytest.param("a", ["a"], id="the last has no end"),
        pytest.param("a\n", ["a"], id="the last has an end"),
        pytest.param("a\n\n b\n\n", ["a", "", " b", ""], id="empty ones"),
        pytest.param("a\r\nb\rc\n", ["a", "b", "c"], id="every end"),
        pytest.param("a\u2028b\x85c\x0bd\x0ce\x1ef", ["a\u2028b\x85c\x0bd\x0ce\x1ef"], id="no end"),
    ],
)
def test_a_line_ends_where_files_end_one(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


def test_an_object_with_a_line_separator_is_read() -> None:
    lines = '{"key": "a\u2028b"}\n{"key": "c"}\n{"ke'

    assert read_json_lines(lines) == [{"key": "a\u2028b"}, {"key": "c"}]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("a\nb\r.png", r"a\nb\r.png", id="ends of lines"),
        pytest.param("\x1b[2J\x7f\x85", r"\x1b[2J\x7f\x85", id="what a terminal obeys"),
        pytest.param("a\u2028b\u2029", r"a\u2028b\u2029", id="parts that Unicode knows"),
        pytest.param("caf\udce9", r"caf\udce9", id="a byte that is not UTF-8"),
        pytest.param("a b\\é\u200d犬\xa0", "a b\\é\u200d犬\xa0", id="all else as it is"),
    ],
)
def test_a_text_that_is_shown_is_one_line(text: str, line: str) -> None:
    assert one_line(text) == line
