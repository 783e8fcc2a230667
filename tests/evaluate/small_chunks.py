"""A rank whose chunks hold two images or texts: `python -m small_chunks SPEC`.

`STALL=RANK:FOLDER` has one rank stop for ever at its second batch of images, under a file that
bears its process id; every rank leaves such a file in the folder's `all`.
"""

import os
import sys
import time
from pathlib import Path

from torch import Tensor

from openalign.evaluate import rank
from openalign.evaluate.embedding import chunks
from openalign.evaluate.embedding.encoder import Encoder
from openalign.evaluate.metrics.vectors import Vectors
from openalign.train import ranks
from openalign.train.stage_spec import main_of_rank


def stall(folder: Path) -> None:
    """Stop for ever at the second batch of images."""
    embed, calls = Encoder.embed_pixels, 0

    def embed_or_stop(self: Encoder, pixels: Tensor) -> Vectors:
        nonlocal calls
        calls += 1
        if calls == 2:
            (folder / f"{os.getpid()}.pid").touch()
            while True:
                time.sleep(60)
        return embed(self, pixels)

    Encoder.embed_pixels = embed_or_stop


if __name__ == "__main__":
    chunks.CHUNK = 2
    ranks.SIGHT_SECONDS = 1.0
    if "STALL" in os.environ:
        stalled, _, folder = os.environ["STALL"].partition(":")
        (Path(folder) / "all" / f"{os.getpid()}.pid").touch()
        if os.environ["RANK"] == stalled:
            stall(Path(folder))
    sys.exit(main_of_rank(sys.argv[1:], rank.EvaluationSpec, rank.run))
