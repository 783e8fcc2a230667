"""Makes README's film of the terminal: what was typed, and what was answered.

    python docs/images/film.py < docs/images/film.txt > docs/images/film.svg

A line of the transcript is `seconds|text`: when the text appeared, after the command's start. Lines
of `$` are typed. Waits are shortened, and the clock beside a line says how long they were. A line
of `...` stands for lines that were left out. Who prefers no motion sees the end, as does a printer.
"""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

COLUMNS, ROWS = 112, 24
FONT_PX, LINE_PX, CHARACTER_PX, MARGIN_PX, BAR_PX, CLOCK_PX = 14, 21, 8.43, 18, 34, 60
LONGEST_WAIT = 2.5
TYPED_A_SECOND = 28
SHOWN_AT_THE_END = 6.0

WIDTH_PX = round(COLUMNS * CHARACTER_PX) + 2 * MARGIN_PX + CLOCK_PX
HEIGHT_PX = BAR_PX + ROWS * LINE_PX + MARGIN_PX


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalLine:
    """A row of the terminal, and when the film shows it."""

    text: str
    clock: str
    is_typed: bool
    at: float
    """Seconds after the film's start."""


def main() -> None:
    """Write the film of the transcript on standard input."""
    lines = [line.rstrip("\n").split("|", 1) for line in sys.stdin]
    sys.stdout.write(film([(float(seconds), text) for seconds, text in lines]))


def film(lines: Iterable[tuple[float, str]]) -> str:
    """Return the SVG of a transcript, which plays again and again."""
    rows = rows_of(lines)
    length = rows[-1].at + SHOWN_AT_THE_END
    dots = "".join(
        f'<circle cx="{22 + 20 * n}" cy="{BAR_PX // 2}" r="6" fill="{color}"/>'
        for n, color in enumerate(("#e06c75", "#e5c07b", "#98c379"))
    )
    drawn = "".join(drawing(row, number) for number, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" role="img">'
        "<title>make demo in a terminal: from a web site to a model that is searched</title>"
        f"<style>{style(rows, length)}</style>"
        f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" rx="10" fill="#20252e"/>{dots}'
        f'<svg y="{BAR_PX}" width="{WIDTH_PX}" height="{ROWS * LINE_PX + 6}">'
        f'<g class="paper">{drawn}</g></svg></svg>\n'
    )


def rows_of(lines: Iterable[tuple[float, str]]) -> list[TerminalLine]:
    """Return the rows of a transcript, broken as a terminal of this width breaks them."""
    rows: list[TerminalLine] = []
    at, before = 0.5, 0.0
    for seconds, text in lines:
        is_typed = text.startswith("$ ")
        is_news = seconds != before and seconds >= 1 and text != "..."
        at += len(text) / TYPED_A_SECOND if is_typed else wait(max(0.0, seconds - before))
        before = seconds
        clock = f"{seconds:.0f} s" if is_news and not is_typed else ""
        for start in range(0, max(1, len(text)), COLUMNS):
            part = text[start : start + COLUMNS]
            rows.append(
                TerminalLine(text=part, clock="" if start else clock, is_typed=is_typed, at=at)
            )
    return rows


def wait(seconds: float) -> float:
    """Return how long the film waits where the command took so long."""
    return min(LONGEST_WAIT, 0.25 + 0.35 * math.log1p(seconds))


def style(rows: list[TerminalLine], length: float) -> str:
    """Return the style sheet: how rows appear, and how the paper moves up once it is full."""
    moves = [(row.at, number + 1 - ROWS) for number, row in enumerate(rows) if number >= ROWS]
    end = max(0, len(rows) - ROWS) * LINE_PX
    paper = "".join(
        f"{100 * at / length:.3f}%{{transform:translateY(-{LINE_PX * up}px)}}" for at, up in moves
    )
    shown = "".join(
        f"@keyframes r{number}{{0%{{opacity:0}}{100 * row.at / length:.3f}%,100%{{opacity:1}}}}"
        for number, row in enumerate(rows)
    )
    return (
        f"text{{font:{FONT_PX}px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;"
        "fill:#d8dee9;white-space:pre}.typed{fill:#a3d9a5}.clock{fill:#7b8494;text-anchor:end}"
        f".paper{{transform:translateY(-{end}px)}}"
        "@media screen and (prefers-reduced-motion:no-preference){"
        f".paper{{animation:up {length:.2f}s step-end infinite}}"
        f".row{{animation:{length:.2f}s step-end infinite}}}}"
        f"@keyframes up{{0%{{transform:none}}{paper}100%{{transform:translateY(-{end}px)}}}}{shown}"
    )


def drawing(row: TerminalLine, number: int) -> str:
    """Return a row of the terminal."""
    y = LINE_PX * (number + 1) - 5
    kind = "typed" if row.is_typed else "said"
    right = WIDTH_PX - MARGIN_PX
    clock = f'<text class="clock" x="{right}" y="{y}">{row.clock}</text>' if row.clock else ""
    return (
        f'<g class="row" style="animation-name:r{number}">'
        f'<text class="{kind}" x="{MARGIN_PX}" y="{y}">{escape(row.text)}</text>{clock}</g>'
    )


if __name__ == "__main__":
    main()
