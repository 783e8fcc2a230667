import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from openalign.demo.server import HEADERS, serve


def test_a_folder_is_served_under_a_hosts_name_with_its_headers(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>one")
    (tmp_path / HEADERS).write_text(json.dumps({"/a.html": {"X-Robots-Tag": "noai"}}))

    with serve(str(tmp_path), host="pictures.example") as connect_to:
        address = connect_to["pictures.example"]
        with urllib.request.urlopen(f"http://{address}/a.html") as answer:
            assert answer.read() == b"<p>one"
            assert answer.headers["X-Robots-Tag"] == "noai"
        with pytest.raises(urllib.error.HTTPError, match="404") as missing:
            urllib.request.urlopen(f"http://{address}/none.html")
        missing.value.close()

    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{address}/a.html")
