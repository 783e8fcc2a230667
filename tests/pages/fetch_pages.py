"""Pages of fetches, made of facts."""

import io
from typing import Any

from pages_seen import EVIL
from PIL import Image

from openalign.files.facts import (
    FetchFacts,
    FetchRound,
    FetchSample,
    FetchTallies,
    HostImages,
    SizeRange,
)
from openalign.pages.fetch_page import render

_SINK = io.BytesIO()
Image.new("RGB", (64, 48), (200, 30, 90)).save(_SINK, "WEBP")
THUMBNAIL = _SINK.getvalue()

IMAGES = {
    "fetched": 4,
    "http_gone": 1,
    "not_an_image": 0,
    "robots_denied": 1,
    "short_side": 1,
    "timeout": 3,
}
ROWS = {"fetched": 8, "http_gone": 1, "robots_denied": 2, "short_side": 1, "timeout": 6}


def sample(**changes: Any) -> FetchSample:
    values: dict[str, Any] = {
        "state": "fetched",
        "image_key": "a",
        "image_url": EVIL,
        "alt_text": EVIL,
        "detail": None,
        "shard": "shard-00000-00000.tar",
        "index_file": "shard-00000-00000.index.parquet",
    }
    return FetchSample(**(values | changes))


def page_of(images: dict[str, int], **facts: Any) -> str:
    whole: dict[str, Any] = {"images": images, "num_bytes": 0, "stored_bytes": 0}
    return render(
        FetchFacts(**(whole | facts)),
        states=ROWS,
        thumbnails={"a": THUMBNAIL},
        settings={"size_px": 346, "removals": EVIL},
    )


def whole() -> str:
    return page_of(
        IMAGES,
        num_bytes=12_000_000,
        stored_bytes=3_000_000,
        rounds=[FetchRound(states=["timeout"], num_inputs=9, ended={"fetched": 3, "timeout": 6})],
        tallies=FetchTallies(
            hosts_by_images=[
                HostImages(host="a.example", images=6, fetched=3, num_bytes=11_000_000),
                HostImages(host=EVIL, images=4, fetched=1, num_bytes=1_000_000),
            ],
            hosts_by_losses=[HostImages(host="a.example", images=6, fetched=3, num_bytes=0)],
            num_hosts=40,
            statuses={"200": 6, "404": 1, "799": 1},
            sizes={
                "short_side": [
                    SizeRange(at_least=256, images=3),
                    SizeRange(at_least=1024, images=1),
                ],
                "num_bytes": [SizeRange(at_least=50_000, images=4)],
            },
            samples=[
                sample(),
                sample(image_key="b", alt_text="gone since"),
                sample(state="timeout", image_key="c", detail=EVIL),
            ],
        ),
    )
