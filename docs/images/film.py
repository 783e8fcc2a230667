"""Makes the film of the terminal in README of what was typed and what was answered.

    python docs/images/film.py < docs/images/film.txt > docs/images/film.svg

A line of the transcript is `seconds|text`: when the text appeared, after the command's start. Lines
of `$` are typed. Waits are shortened, and the clock beside a line says how long they were. Who
prefers no motion, or prints the page, sees the last frame.
"""

import math
import sys
from collections.abc import Iterable
from html import escape

COLUMNS = 106
FONT_PX, LINE_PX, CHARACTER_PX, MARGIN_PX, BAR_PX = 14, 21, 8.43, 18, 34
LONGEST_WAIT = 2.5
TYPED_A_SECOND = 28

STYLE = f"""
text {{ font: {FONT_PX}px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #d8dee9;
  white-space: pre; }}
.typed {{ fill: #a3d9a5; }}
.clock {{ fill: #7b8494; text-anchor: end; }}
@media screen and (prefers-reduced-motion: no-preference) {{
  .line {{ opacity: 0; animation: shown 0.15s forwards; }}
}}
@keyframes shown {{ to {{ opacity: 1; }} }}
"""


def main() -> None:
    lines = [line.rstrip("\n").split("|", 1) for line in sys.stdin]
    sys.stdout.write(film([(float(seconds), text) for seconds, text in lines]))


def film(lines: Iterable[tuple[float, str]]) -> str:
    """Return the SVG of a transcript."""
    drawn: list[str] = []
    shown, before, row = 0.5, 0.0, 0
    for seconds, text in lines:
        is_typed = text.startswith("$ ")
        shown += len(text) / TYPED_A_SECOND if is_typed else wait(max(0.0, seconds - before))
        before = seconds
        for number, part in enumerate(wrapped(text)):
            clock = f"{seconds:.0f} s" if not is_typed and number == 0 and seconds >= 1 else ""
            drawn.append(line(part, clock, row=row, at=shown, is_typed=is_typed))
            row += 1
    width = round(COLUMNS * CHARACTER_PX) + 2 * MARGIN_PX + 60
    height = BAR_PX + row * LINE_PX + 2 * MARGIN_PX
    dots = "".join(
        f'<circle cx="{22 + 20 * n}" cy="{BAR_PX // 2}" r="6" fill="{color}"/>'
        for n, color in enumerate(("#e06c75", "#e5c07b", "#98c379"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        "<title>make demo in a terminal: from a web site to a model that is searched</title>"
        f'<style>{STYLE}</style><rect width="{width}" height="{height}" rx="10" fill="#20252e"/>'
        f"{dots}{''.join(drawn)}</svg>\n"
    )


def wait(seconds: float) -> float:
    """Return how long the film waits where the command took so long."""
    return min(LONGEST_WAIT, 0.25 + 0.35 * math.log1p(seconds))


def wrapped(text: str) -> list[str]:
    """Return a line as a terminal of this width breaks it."""
    return [text[at : at + COLUMNS] for at in range(0, max(1, len(text)), COLUMNS)]


def line(text: str, clock: str, *, row: int, at: float, is_typed: bool) -> str:
    """Return a row of the terminal."""
    y = BAR_PX + MARGIN_PX + row * LINE_PX
    right = round(COLUMNS * CHARACTER_PX) + MARGIN_PX + 60
    kind = "typed" if is_typed else "said"
    clocked = f'<text class="clock" x="{right}" y="{y}">{clock}</text>' if clock else ""
    return (
        f'<g class="line" style="animation-delay:{at:.2f}s">'
        f'<text class="{kind}" x="{MARGIN_PX}" y="{y}">{escape(text)}</text>{clocked}</g>'
    )


if __name__ == "__main__":
    main()
