"""Embedding beside bare loops: the stage's, and what a script with a DataLoader would do.

    .venv/bin/python benchmarks/embedding.py                          512 images, some minutes
    .venv/bin/python benchmarks/embedding.py --images 96 --repeat 1   a quick look

Generates noisy JPEG images of 640 x 480 px and an ALIGN with random weights, and compares

    model    the stage's embedding of images that are decoded already, with a loop that calls
             `AlignModel` on tensors of the same images: channels first, as Hugging Face's
             processors give them (`loop`), and channels last, as ours are (`loop_last`)
    feed     images that reach a model that does nothing: read, decoded, scaled, in batches; with a
             torch DataLoader of as many workers that does the same with Pillow
    whole    both together

Every contestant runs in a process of its own on the same cores. Figures are of CPU time; wall time
is printed beside it, and is what counts where the model is on a GPU. There the loop computes in
fp32 too, and not in TF32.
"""

import argparse
import io
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from contestants import best_of, child_words, one_run, time_and_tell

BATCH = 32
WORKERS = 4


def generate(folder: Path, num_images: int, *, width: float, depth: float) -> None:
    """Write images, and the export of a model with random weights."""
    import torch
    from PIL import Image

    from openalign.train.config import ImageTower, ModelConfig, TextTower, TrainConfig
    from openalign.train.data.preprocess import SPECIAL_TOKENS
    from openalign.train.model.export import write_export
    from openalign.train.model.towers import build_towers

    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for number in range(num_images):
        small = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC)
        image.save(folder / "images" / f"{number:06d}.jpg", quality=88)
    model = ModelConfig(
        image_tower=ImageTower(preset="b0", width=width, depth=depth),
        text_tower=TextTower(preset="mini", num_layers=1),
    )
    torch.manual_seed(0)
    vocabulary = [*SPECIAL_TOKENS, "a"]
    towers = build_towers(TrainConfig(model=model), vocabulary_size=len(vocabulary))
    write_export(
        str(folder / "model"), weights=towers.state_dict(), vocabulary=vocabulary, model=model
    )


def embed(contestant: str, folder: Path) -> Callable[[], Any]:
    """Return the work of a contestant, everything ready."""
    import torch

    from openalign.evaluate.embedding.encoder import Encoder

    torch.set_num_threads(4)  # as the stage does
    torch.backends.cudnn.allow_tf32 = False
    paths = sorted((folder / "images").iterdir())
    encoder = Encoder.load(str(folder / "model"))
    encoder.embed_images([path.read_bytes() for path in paths[:BATCH]])  # starts the device
    match contestant:
        case "model_ours":
            return stage_work(paths, Decoded(encoder, paths))
        case "model_loop" | "model_loop_last":
            layout = torch.channels_last if contestant.endswith("last") else torch.contiguous_format
            images = prepared(encoder, paths).contiguous(memory_format=layout)
            return lambda: loop(encoder.model, images.split(BATCH))
        case "feed_ours":
            return stage_work(paths, NoModel(encoder))
        case "feed_loader":
            return lambda: sum(len(batch) for batch in loader(paths, encoder.preprocess))
        case "whole_ours":
            return stage_work(paths, encoder)
        case "whole_loader":
            return lambda: loop(encoder.model, loader(paths, encoder.preprocess))
    raise AssertionError(contestant)


def stage_work(paths: Sequence[Path], embedder: Any) -> Callable[[], Any]:
    from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
    from openalign.evaluate.embedding.chunks import ChunkStore
    from openalign.evaluate.embedding.embeddings import EmbeddingWork, fixed_threads
    from openalign.evaluate.embedding.pace import PaceKeeper
    from openalign.train.ranks import alone

    images = [
        BenchmarkImage(name=path.name, split="test", place=ImageFile(str(path.parent), path.name))
        for path in paths
    ]

    def work() -> Any:
        keeper = PaceKeeper(len(images), None, speaks=False)
        with tempfile.TemporaryDirectory() as kept, fixed_threads(alone()):
            EmbeddingWork(
                embedder=embedder,
                store=ChunkStore(kept),
                ranks=alone(),
                batch_size=BATCH,
                decode_threads=WORKERS,
                keeper=keeper,
            ).images({"rows.npy": images})
        return round(keeper.pace().waiting_share, 3)

    return work


class Decoded:
    """A model whose images are decoded already."""

    identity = "decoded"

    def __init__(self, encoder: Any, paths: Sequence[Path]) -> None:
        contents = (path.read_bytes() for path in paths)
        decoded = {content: encoder.pixels([content]) for content in contents}
        self.pixels = lambda contents: decoded[contents[0]]
        self.embed_pixels = encoder.embed_pixels


class NoModel:
    """A model that does nothing with the images that reach it."""

    identity = "nothing"

    def __init__(self, encoder: Any) -> None:
        self.pixels = encoder.pixels
        self.embed_pixels = lambda pixels: np.ones((len(pixels), 2), dtype=np.float32)


def prepared(encoder: Any, paths: Sequence[Path]) -> Any:
    """Return all images as one tensor."""
    import torch

    return torch.cat([encoder.pixels([path.read_bytes()]) for path in paths])


def loop(model: Any, batches: Iterable[Any]) -> int:
    """Embed batches as an evaluation script does."""
    import torch
    from torch.nn.functional import normalize

    rows: list[Any] = []
    for batch in batches:
        with torch.inference_mode():
            features = model.get_image_features(batch.to(model.device))
            rows.append(normalize(getattr(features, "pooler_output", features)).cpu())
    return len(torch.cat(rows))


def loader(paths: Sequence[Path], preprocess: Any) -> Any:
    """Return a DataLoader that decodes with Pillow."""
    from torch.utils.data import DataLoader

    warnings.filterwarnings("ignore", message="This DataLoader will create")  # more than cores
    return DataLoader(
        PillowImages(paths, preprocess),  # pyright: ignore[reportArgumentType]
        batch_size=BATCH,
        num_workers=WORKERS,
        multiprocessing_context="fork",
    )


class PillowImages:
    """The images as a map-style data set: squashed, cropped and scaled to [-1, 1]."""

    def __init__(self, paths: Sequence[Path], preprocess: Any) -> None:
        self._paths = paths
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> Any:
        import torch
        from PIL import Image

        resize_px, crop_px = self._preprocess.resize_px, self._preprocess.crop_px
        start = (resize_px - crop_px) // 2
        with Image.open(io.BytesIO(self._paths[number].read_bytes())) as image:
            squashed = image.convert("RGB").resize((resize_px, resize_px), 2)
        cropped = squashed.crop((start, start, start + crop_px, start + crop_px))
        pixels = torch.from_numpy(np.asarray(cropped).copy()).permute(2, 0, 1)
        return pixels.to(torch.float32).div_(127.5).sub_(1.0)


def child(words: Sequence[str]) -> None:
    if words[0] == "generate":
        generate(Path(words[1]), int(words[2]), width=float(words[3]), depth=float(words[4]))
        print("{}")
    else:
        time_and_tell(embed(words[0], Path(words[1])))


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def race(options: argparse.Namespace) -> None:
    clock = "wall" if has_gpu() else "cpu"
    with tempfile.TemporaryDirectory(prefix="openalign-benchmark-") as folder:
        data = f"{folder}/data"
        one_run("generate", data, str(options.images), str(options.width), str(options.depth))
        print(f"{options.images:,} JPEG images of 640 x 480; batches of {BATCH}; {WORKERS} workers")
        for part, *others in (
            ("model", "loop", "loop_last"),
            ("feed", "loader"),
            ("whole", "loader"),
        ):
            found = {
                who: best_of(options.repeat, f"{part}_{who}", data, clock=clock)
                for who in ("ours", *others)
            }
            for who, run in found.items():
                print(
                    f"{part:6}{who:10}{options.images / run['cpu']:>9.1f} images per CPU second"
                    f"  {options.images / run['wall']:>8.1f}/s wall  {run['peak_mib']:,} MiB"
                    + (f"  model waits {run['answer']:.1%}" if who == "ours" else "")
                )
            for other in others:
                by_cpu, by_wall = (
                    found[other][clock_name] / found["ours"][clock_name]
                    for clock_name in ("cpu", "wall")
                )
                print(
                    f"{part:6}ours is {by_cpu:.2f} x {other} by CPU time, "
                    f"{by_wall:.2f} x by wall time",
                    flush=True,
                )


def main() -> None:
    if (words := child_words()) is not None:
        child(words)
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=2, help="runs of each; the best counts")
    parser.add_argument("--width", type=float, default=1.0, help="of the EfficientNet; B0 has 1")
    parser.add_argument("--depth", type=float, default=1.0, help="of the EfficientNet; B0 has 1")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    race(parser.parse_args())


if __name__ == "__main__":
    main()
