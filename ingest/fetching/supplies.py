"""Which supply a fetch has: a source's own images, img2dataset, or the web."""

from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from functools import partial

from openalign.files.shards import ShardReader
from openalign.ingest.fetching.image_judging import ImageJudge
from openalign.ingest.fetching.images_in_place import read_images, require_folder
from openalign.ingest.fetching.img2dataset.downloads import Img2datasetDownloads
from openalign.ingest.fetching.img2dataset.process import require_img2dataset
from openalign.ingest.fetching.live_fetch import WaitNotes
from openalign.ingest.fetching.setup import FetchSetup
from openalign.ingest.fetching.supply import FromWeb, ImageSupply, ShardByShard
from openalign.ingest.sources.contract import OwnImages
from openalign.ingest.web.answers import BodyRule
from openalign.ingest.web.client import WebClient
from openalign.telemetry import say

_ACCEPT = "image/avif,image/webp,image/png,image/jpeg,image/*;q=0.8"


def require_supply(setup: FetchSetup) -> None:
    """Check that the images of a fetch can be had.

    Raises:
        ConfigError: the Python of img2dataset has not the release that is driven.
        InputError: the folder of a source's own images is not there.
    """
    config = setup.config
    if isinstance(setup.images_from, OwnImages):
        require_folder(setup.images_from)
    elif config.engine == "img2dataset":
        require_img2dataset(config.img2dataset_python)
        say(
            f"fetch     img2dataset keeps to no host's pace: it asks {config.web.connections} "
            "times at once, and tries again without a pause"
        )


@contextmanager
def opened_supply(
    setup: FetchSetup, judge: ImageJudge, *, owners_of: Callable[[str], int]
) -> Generator[ImageSupply]:
    """Open the supply of a fetch; `owners_of` tells among how many workers a host is shared."""
    config, images_from = setup.config, setup.images_from
    if isinstance(images_from, OwnImages):
        with closing(ShardReader(images_from.folder)) as reader:
            yield ShardByShard(partial(read_images, reader=reader, max_bytes=config.max_bytes))
    elif config.engine == "img2dataset":
        with Img2datasetDownloads(config, look=judge.look) as downloads:
            yield ShardByShard(downloads.download)
    else:
        body = BodyRule(max_bytes=config.max_bytes, look=judge.look)
        with (
            closing(WaitNotes(setup.work)) as waits,
            WebClient(
                images_from,
                accept=_ACCEPT,
                body=body,
                judge_redirect=judge.judge_redirect,
                owners_of=owners_of,
                tell_waits=waits.take,
            ) as client,
        ):
            yield FromWeb(client)
