import re
from xml.etree import ElementTree as ET

import pytest

from openalign.pages import charts


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        pytest.param(0.0, 10.0, [0, 5, 10], id="fives"),
        pytest.param(2.1, 9.8, [2, 4, 6, 8, 10], id="twos"),
        pytest.param(0.03, 0.1, [0.02, 0.04, 0.06, 0.08, 0.1], id="small"),
        pytest.param(0.0, 1200.0, [0, 500, 1000, 1500], id="large"),
        pytest.param(3.0, 3.0, [2.5, 3.0, 3.5], id="constant"),
    ],
)
def test_ticks_are_round_and_span_the_values(
    low: float, high: float, expected: list[float]
) -> None:
    assert charts.nice_ticks(low, high) == expected


def test_a_curve_runs_from_the_first_to_the_last_value_inside_the_frame() -> None:
    values = [10.0 - step / 100 for step in range(1000)]

    svg = ET.fromstring(
        charts.line_chart(range(1000), values, label='loss "down" <fast>', unit="steps")
    )

    assert svg.attrib["aria-label"] == 'loss "down" <fast>'
    faint, curve = (path.attrib["d"] for path in svg.iter("path"))
    points = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", faint)]
    assert len(points) <= 302
    assert points[0][0] == 52.0
    assert points[-1][0] == 450.0
    assert all(12.0 <= y <= 200.0 for _, y in points)
    assert points[0][1] < points[-1][1]  # svg counts from the top: the loss falls
    assert curve != ""


def test_a_constant_is_a_flat_line() -> None:
    svg = ET.fromstring(charts.line_chart([0, 1, 2], [3, 3, 3], label="flat", unit="steps"))

    path = next(iter(svg.iter("path"))).attrib["d"]
    heights = {y for _, y in re.findall(r"([\d.]+) ([\d.]+)", path)}
    assert heights == {"106.0"}


def test_chance_is_a_line_that_the_frame_makes_room_for() -> None:
    drawn = charts.line_chart([0, 1], [2, 4], label="l", unit="steps", measured="loss", chance=10.0)

    svg = ET.fromstring(drawn)
    [line] = [each.attrib for each in svg.iter("line") if each.attrib["class"] == "chance"]
    # From 2 at the bottom, 200, to 10 at the top, 12.
    assert (line["y1"], line["y2"]) == ("12.0", "12.0")
    path = next(iter(svg.iter("path"))).attrib["d"]
    assert re.findall(r"[\d.]+ ([\d.]+)", path) == ["200.0", "153.0"]
    assert {"loss", "steps", "chance 10"} <= {each.text for each in svg.iter("text")}


def test_a_strip_places_interval_value_and_chance() -> None:
    svg = ET.fromstring(charts.interval_strip(0.5, 0.4, 0.7, 0.05, label="half"))

    by_class = {rect.attrib["class"]: rect.attrib for rect in svg.iter("rect")}
    assert by_class["value"]["x"] == "100.0"
    assert (by_class["interval"]["x"], by_class["interval"]["width"]) == ("80.0", "60.0")
    assert by_class["chance"]["x"] == "10.0"


def test_a_gain_of_zero_is_in_the_middle() -> None:
    svg = ET.fromstring(charts.gain_strip(0.0, -0.5, 1.0, label="none"))

    by_class = {rect.attrib["class"]: rect.attrib for rect in svg.iter("rect")}
    assert by_class["value"]["x"] == by_class["chance"]["x"] == "100.0"
    assert (by_class["interval"]["x"], by_class["interval"]["width"]) == ("50.0", "150.0")


def test_a_reliable_model_has_its_dots_on_the_line() -> None:
    svg = ET.fromstring(
        charts.reliability_chart([(0.25, 0.25, 0.25), (1.0, 0.5, 0.75)], label="a < b")
    )

    assert svg.attrib["aria-label"] == "a < b"
    (line,) = (path.attrib["d"] for path in svg.iter("path"))
    assert line == "M52.0 200.0 L450.0 12.0"
    on_line, below = (dot.attrib for dot in svg.iter("circle"))
    # A quarter of the way from (52, 200) to (450, 12); a quarter of the images has a radius of
    # half of 14, beside the least of 2.
    assert (on_line["cx"], on_line["cy"], on_line["r"]) == ("151.5", "153.0", "9.0")
    assert (below["cx"], below["cy"]) == ("450.0", "106.0")


def test_a_sweep_has_a_dot_a_setting_over_powers_of_ten() -> None:
    dots = [
        charts.Dot(x=x, share=share, words=f"at {x}")
        for x, share in ((0.01, 0.2), (1.0, 0.4), (100.0, 0.3))
    ]

    svg = charts.sweep_chart(dots, chosen=1, label="tried", unit="penalty <L2>")

    places = re.findall(r'<circle(| class="chosen") cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)">', svg)
    # The axis runs from 1e-2 to 1e2, 66 to 436 across and 200 to 12 up, from 20 to 40 percent.
    assert places == [
        ("", "66.0", "200.0", "3.5"),
        (' class="chosen"', "251.0", "12.0", "6"),
        ("", "436.0", "106.0", "3.5"),
    ]
    assert re.findall(r">(1|1e-?\d)</text>", svg) == ["1e-2", "1e-1", "1", "1e1"]
    assert "<title>at 0.01</title>" in svg
    assert "penalty &lt;L2&gt;" in svg


def test_a_sweep_of_one_setting_is_drawn() -> None:
    svg = charts.sweep_chart(
        [charts.Dot(x=3.0, share=0.5, words="x")], chosen=0, label="tried", unit="penalty"
    )

    assert svg.count("<circle") == 1
    assert "nan" not in svg
