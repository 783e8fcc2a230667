"""Pages as Chromium has them after their scripts, and modules as Node finds them."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[2]
DARK = "@media (prefers-color-scheme: dark)"
LIGHT = "@media (prefers-color-scheme: light)"
RULES = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}"

IN_CHROMIUM = f"""\
for (const folded of document.querySelectorAll("details")) folded.open = true;
const found = await axe.run(document, {RULES});
return {{
  violations: found.violations.map((each) => [each.id, each.nodes.map((node) => node.html)]),
  passes: found.passes.map((each) => each.id),
  said: window.said,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
}};
"""

_LISTENING = """<script>
window.said = [];
console.error = console.warn = (...words) => said.push(words.join(" "));
addEventListener("error", (event) => said.push(event.message || event.target.outerHTML), true);
</script>"""
"""Keeps what a page says of itself: what it lacks, and what breaks in it."""

_FOUND = re.compile(r'<pre id="found">(.*?)</pre>', re.DOTALL)


def node_module(name: str) -> Path:
    """Return where Node finds a module, or skip the test and say why."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("axe needs Node, which is not on the PATH")
    words = [node, "-p", f"require.resolve('{name}')"]
    found = subprocess.run(words, capture_output=True, text=True, check=False, cwd=TOP)
    if found.returncode:
        pytest.skip(f"Node does not find {name}: npm install --no-save axe-core jsdom")
    return Path(found.stdout.strip())


def seen_by_axe(page: Path, *, width_px: int, is_dark: bool) -> Any:
    """Return what axe finds in a page, what the page says to the console, and its overflow in px.

    The page is read in a scheme of colors, whatever this machine prefers.
    """
    axe = node_module("axe-core").read_text()
    html = page.read_text()
    assert html.count(DARK) == html.count("<head>") == 1
    if is_dark:
        html = html.replace(DARK, "@media all").replace(LIGHT, "@media not all")
    html = html.replace("<head>", f"<head>{_LISTENING}")
    page.write_text(html.replace("</body>", f"<script>{axe}</script></body>"))
    return found_in_chromium(page, IN_CHROMIUM, width_px=width_px)


def found_in_chromium(page: Path, script: str, *, width_px: int = 1440) -> Any:
    """Return what a script finds in a page that has loaded; it ends in `return`, and may wait.

    The test is skipped, with a reason, where there is no Chromium.
    """
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs Chromium, which is not on the PATH")
    asking = (
        "<script>addEventListener('load', async () => { const found = await (async () => {"
        f"{script}}})(); parent.document.querySelector('#found').textContent ="
        " JSON.stringify(found); });</script></body>"
    )
    asked = page.with_name("asked.html")
    asked.write_text(page.read_text().replace("</body>", asking))
    # A window is never narrower than 500 px; a frame is.
    frame = page.with_name("frame.html")
    frame.write_text(
        f'<!doctype html><pre id="found"></pre><iframe src="{asked.name}" '
        f'style="width:{width_px}px;height:900px"></iframe>'
    )
    words = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        f"--user-data-dir={page.with_name('profile')}",
        "--window-size=1600,1000",
        "--virtual-time-budget=60000",
        "--dump-dom",
        frame.as_uri(),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    [shown] = _FOUND.findall(done.stdout)
    assert shown, f"the script did not end: {done.stderr}"
    return json.loads(unescape(shown))
