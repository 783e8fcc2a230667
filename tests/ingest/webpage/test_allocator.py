"""What one page frees serves the next: counted in pages of memory that the system hands out."""

import platform
import subprocess
import sys

import pytest

READ = """
import resource
from openalign.ingest.webpage import page

html = ("<p>" + "<a href=/x><img src=/y.png alt='a cat'></a>" * 100).encode()


def read(num_pages):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(num_pages):
        page.parse_page(html, page_url="http://h.example/", charset=None, texts=("alt",))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


read(20)
print(read(100))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_memory_is_kept_from_page_to_page() -> None:
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=True)

    # Given back, the tree of such a page comes to 40 pages of memory each time.
    assert int(done.stdout) < 400
