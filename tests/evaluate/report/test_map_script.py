"""The script of the report's map of images, in Chromium."""

from pathlib import Path
from typing import Any

import pytest
from browser import found_in_chromium
from given import report_on
from squares import config_of, run_stage

from openalign.files.names import REPORT_HTML

pytestmark = pytest.mark.slow

SAID = "const said = () => document.querySelector('.closer').textContent;"
PRESS = """
const press = (key) => document.activeElement.dispatchEvent(
    new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
const pictures = [...document.querySelectorAll('.map .picture')];
"""


@pytest.fixture(scope="module")
def page(
    shared_benchmark: Path, model_folder: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("mapped")
    config = config_of(shared_benchmark)
    run_stage(shared_benchmark, config, model=model_folder, output=folder / "evaluate")
    report_on(folder)
    return folder / "report" / REPORT_HTML


def asked(page: Path, script: str) -> Any:
    return found_in_chromium(page, SAID + PRESS + script)


def test_a_pointer_shows_an_image_and_its_caption(page: Path) -> None:
    found = asked(
        page,
        """
        pictures[3].dispatchEvent(new PointerEvent('pointerenter'));
        const image = document.querySelector('.closer img');
        return [said(), pictures[3].getAttribute('aria-label'),
                image.src === pictures[3].querySelector('image').getAttribute('href'),
                image.offsetWidth > 50];
        """,
    )

    assert found[0] == found[1] != ""
    assert found[2:] == [True, True]


def test_arrows_reach_every_image_and_the_tab_key_one(page: Path) -> None:
    found = asked(
        page,
        """
        const queue = [pictures[0]];
        const reached = new Set(queue);
        while (queue.length) {
          const from = queue.shift();
          for (const key of ['ArrowRight', 'ArrowLeft', 'ArrowDown', 'ArrowUp']) {
            from.focus();
            press(key);
            const now = document.activeElement;
            if (!reached.has(now)) { reached.add(now); queue.push(now); }
          }
        }
        const stops = document.querySelectorAll('.map [tabindex="0"]');
        return [reached.size, pictures.length, stops.length, stops[0] === document.activeElement,
                said() === document.activeElement.getAttribute('aria-label')];
        """,
    )

    assert found == [5, 5, 1, True, True]
