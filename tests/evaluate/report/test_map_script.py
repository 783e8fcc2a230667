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
ON_ONE_PLACE = """
const onOnePlace = (twins) => {
  for (const part of twins.flatMap((twin) => [...twin.querySelectorAll('rect, image')])) {
    for (const key of ['x', 'y']) {
      part.setAttribute(key, twins[0].querySelector('image').getAttribute(key));
    }
  }
};
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


@pytest.mark.parametrize("twins", [0, 2, 4])
def test_arrows_reach_every_image_and_the_tab_key_one(page: Path, twins: int) -> None:
    found = asked(
        page,
        ON_ONE_PLACE + f"onOnePlace(pictures.slice(0, {twins}));"
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


def test_of_images_on_one_place_the_next_is_to_the_right_and_lies_on_top(page: Path) -> None:
    found = asked(
        page,
        ON_ONE_PLACE
        + """
        onOnePlace(pictures.slice(1, 4));
        const onTop = () => {
          document.activeElement.scrollIntoView({behavior: 'instant', block: 'center'});
          const box = document.activeElement.getBoundingClientRect();
          const seen = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
          return seen?.closest('.picture') === document.activeElement;
        };
        pictures[1].focus();
        const steps = [[pictures.indexOf(document.activeElement), onTop()]];
        for (const key of ['ArrowRight', 'ArrowDown', 'ArrowLeft', 'ArrowUp']) {
          press(key);
          steps.push([pictures.indexOf(document.activeElement), onTop()]);
        }
        return steps;
        """,
    )

    assert found == [[1, True], [2, True], [3, True], [2, True], [1, True]]


def test_keys_are_told_and_a_picture_is_not_announced_twice(page: Path) -> None:
    found = asked(
        page,
        """
        const group = document.querySelector('.map [role="group"]');
        const told = document.getElementById(group.getAttribute('aria-describedby'));
        return [told.textContent, told.offsetHeight > 0,
                document.querySelectorAll('.map [aria-live]').length];
        """,
    )

    assert found == ["Arrow keys move between the pictures.", True, 0]


def test_a_phone_is_not_told_of_keys(page: Path) -> None:
    found = found_in_chromium(
        page, "return document.getElementById('map-keys').offsetHeight;", width_px=390
    )

    assert found == 0
