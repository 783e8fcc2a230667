"""The code in docs/extending.md is the code of the toy kinds, which tests run.

python tests/contracts/test_extending.py    copies it into the page again
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"
_INCLUDE = re.compile(r"<!-- (tests/\S+) \[(\w+)\] -->\n```python\n(.*?)```\n", re.DOTALL)


def region(path: str, name: str) -> str:
    """Return what stands between `# [name]` and `# [/name]` in a file."""
    text = (ROOT / path).read_text()
    begin, end = f"# [{name}]\n", f"# [/{name}]"
    assert begin in text, f"{path} has no region {name}"
    return text.partition(begin)[2].partition(end)[0].strip("\n") + "\n"


def with_regions(page: str) -> str:
    """Return the page with each included region as it is now."""
    return _INCLUDE.sub(
        lambda found: (
            f"<!-- {found[1]} [{found[2]}] -->\n```python\n{region(found[1], found[2])}```\n"
        ),
        page,
    )


def test_the_page_shows_the_code_that_tests_run() -> None:
    page = PAGE.read_text()

    assert len(_INCLUDE.findall(page)) >= 4
    assert page == with_regions(page), "run `python tests/contracts/test_extending.py`"


if __name__ == "__main__":
    PAGE.write_text(with_regions(PAGE.read_text()))
