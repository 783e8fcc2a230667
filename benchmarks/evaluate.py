"""Evaluation against bare loops and clip_benchmark: embedding, and the metric part of retrieval.

    .venv/bin/python benchmarks/evaluate.py embed                  512 images, some minutes
    .venv/bin/python benchmarks/evaluate.py retrieve               MSCOCO's 5,000 x 25,000
    .venv/bin/python benchmarks/evaluate.py retrieve --images 500  a quick look

`embed` generates noisy JPEG images of 640 x 480 px and an ALIGN with random weights, and compares

    model    the stage's embedding of images that are decoded already, with a loop that calls
             `AlignModel` on the same batches
    feed     images that reach a model that does nothing: read, decoded, scaled, in batches; with a
             torch DataLoader of as many workers that does the same with Pillow
    whole    both together

`retrieve` compares the task's measure on random embeddings, intervals and examples included, with
clip_benchmark's own function, which needs `pip install clip_benchmark==1.6.2`. The six recalls must
be equal before a figure is printed.

Every contestant runs in a process of its own on the same cores. Figures are of CPU time, of the
process and its workers: wall time says little on shared cores. It is printed beside it, and is what
counts where the model is on a GPU. There the loop computes in fp32 too, and not in TF32.
"""

# ruff: noqa: N806  # capitals are shape suffixes

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 32
WORKERS = 4
WIDTH = 640
CAPTIONS = 5
RECALL_AT = (1, 5, 10)


# Embedding ----------------------------------------------------------------------------------------


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
        case "model_loop":
            images = prepared(encoder, paths)
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
    """Return all images as one tensor, in the layout of Hugging Face's processors."""
    import torch

    return torch.cat([encoder.pixels([path.read_bytes()]) for path in paths]).contiguous()


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


# Retrieval ----------------------------------------------------------------------------------------


def retrieve(contestant: str, num_images: int) -> Callable[[], list[float]]:
    """Return the work of a contestant: six recalls of random embeddings that help a little."""
    from openalign.evaluate.metrics.vectors import unit_rows

    rng = np.random.default_rng(0)
    images = rng.standard_normal((num_images, WIDTH))
    noise = rng.standard_normal((num_images * CAPTIONS, WIDTH))
    image_GD, caption_GD = map(unit_rows, (images, np.repeat(images, CAPTIONS, axis=0) + 8 * noise))
    if contestant == "clip_benchmark":
        return clip_benchmark_work(image_GD, caption_GD)
    return our_work(image_GD, caption_GD)


def our_work(image_GD: Any, caption_GD: Any) -> Callable[[], list[float]]:  # noqa: N803
    from openalign.evaluate.config import EvaluateConfig
    from openalign.evaluate.datasets.dataset import Dataset
    from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
    from openalign.evaluate.metrics.bootstrap import Bootstrap
    from openalign.evaluate.tasks.benchmark import benchmark_of
    from openalign.evaluate.tasks.contract import Material, Sampling
    from openalign.evaluate.tasks.retrieval.retrieval import RetrievalTask, measure

    images = [
        BenchmarkImage(
            name=f"{n}.jpg",
            split="test",
            place=ImageFile("images", f"{n}.jpg"),
            captions=tuple(f"caption {n} {number}" for number in range(CAPTIONS)),
        )
        for n in range(len(image_GD))
    ]
    benchmark = benchmark_of(
        "coco",
        Dataset(images=images),
        image_GD=image_GD,
        caption_GD=caption_GD,
        image_hashes=[],
    )
    config = EvaluateConfig()
    bootstrap = Bootstrap(
        resamples=config.bootstrap_resamples, confidence=config.confidence, seed=config.seed
    )

    def work() -> list[float]:
        measured = measure(
            RetrievalTask(benchmark="coco"),
            Material(benchmark=benchmark, texts={}),
            Sampling(bootstrap=bootstrap, num_examples=config.num_examples),
        )
        values = {metric.name: metric.value for metric in measured.metrics}
        return [
            values[f"retrieval/coco/split/{direction}/recall_at_{k}"]
            for direction in ("text_to_image", "image_to_text")
            for k in RECALL_AT
        ]

    return work


def clip_benchmark_work(image_GD: Any, caption_GD: Any) -> Callable[[], list[float]]:  # noqa: N803
    import torch
    from clip_benchmark.metrics.zeroshot_retrieval import (  # pyright: ignore[reportMissingImports]
        evaluate,
    )

    images, captions = torch.from_numpy(image_GD), torch.from_numpy(caption_GD)

    class Model:
        """Towers that have done their work."""

        def encode_image(self, rows: Any) -> Any:
            return rows

        def encode_text(self, numbers: Any) -> Any:
            return captions[numbers]

    def batches() -> Iterator[Any]:
        for start in range(0, len(images), 64):
            rows = images[start : start + 64]
            texts = np.arange(start * CAPTIONS, (start + len(rows)) * CAPTIONS)
            yield rows, texts.reshape(-1, CAPTIONS).tolist()

    def work() -> list[float]:
        found = evaluate(
            Model(), batches(), torch.tensor, "cpu", amp=False, recall_k_list=list(RECALL_AT)
        )
        return [found[f"{of}_retrieval_recall@{k}"] for of in ("image", "text") for k in RECALL_AT]

    return work


# The race -----------------------------------------------------------------------------------------


def one_run(*words: str) -> dict[str, Any]:
    """Run one contestant in a process of its own; imports and start-up are not timed."""
    command = [sys.executable, __file__, "--child", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def child(words: Sequence[str]) -> None:
    if words[0] == "generate":
        generate(Path(words[1]), int(words[2]), width=float(words[3]), depth=float(words[4]))
        print("{}")
        return
    contestant, argument = words[1], words[2]
    work = (
        embed(contestant, Path(argument))
        if words[0] == "embed"
        else retrieve(contestant, int(argument))
    )
    cpu, wall = cpu_seconds(), time.monotonic()
    answer = work()
    cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"answer": answer, "cpu": cpu, "wall": wall, "peak_mib": peak_mib}))


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its workers that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def best_of(repeat: int, *words: str) -> dict[str, Any]:
    clock = "wall" if words[0] == "embed" and has_gpu() else "cpu"
    return min((one_run(*words) for _ in range(repeat)), key=lambda run: run[clock])


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def race_embedding(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="openalign-benchmark-") as folder:
        data = f"{folder}/data"
        one_run("generate", data, str(options.images), str(options.width), str(options.depth))
        print(f"{options.images:,} JPEG images of 640 x 480; batches of {BATCH}; {WORKERS} workers")
        for part, other in (("model", "loop"), ("feed", "loader"), ("whole", "loader")):
            found = {
                who: best_of(options.repeat, "embed", f"{part}_{who}", data)
                for who in ("ours", other)
            }
            for who, run in found.items():
                print(
                    f"{part:6}{who:7}{options.images / run['cpu']:>9.1f} images per CPU second"
                    f"  {options.images / run['wall']:>8.1f}/s wall  {run['peak_mib']:,} MiB"
                    + (f"  model waits {run['answer']:.1%}" if who == "ours" else "")
                )
            print(
                f"{part:6}ours is {found[other]['cpu'] / found['ours']['cpu']:.2f} x {other} by "
                f"CPU time, {found[other]['wall'] / found['ours']['wall']:.2f} x by wall time\n",
                flush=True,
            )


def race_retrieval(options: argparse.Namespace) -> None:
    print(f"{options.images:,} images, {options.images * CAPTIONS:,} captions, width {WIDTH}")
    found = {
        who: best_of(options.repeat, "retrieve", who, str(options.images))
        for who in ("ours", "clip_benchmark")
    }
    ours, theirs = found["ours"], found["clip_benchmark"]
    np.testing.assert_allclose(ours["answer"], theirs["answer"], atol=1e-6)
    print(f"all six recalls agree: {[round(value, 4) for value in ours['answer']]}")
    for who, run in found.items():
        print(f"{who:15}{run['cpu']:>8.1f} s CPU  {run['wall']:>8.1f} s  {run['peak_mib']:,} MiB")
    print(
        f"ours is {theirs['cpu'] / ours['cpu']:.1f} x clip_benchmark by CPU time, with "
        f"{theirs['peak_mib'] / ours['peak_mib']:.1f} times less memory"
    )


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("part", choices=("embed", "retrieve"))
    parser.add_argument("--images", type=int)
    parser.add_argument("--repeat", type=int, default=2, help="runs of each; the best counts")
    parser.add_argument("--width", type=float, default=1.0, help="of the EfficientNet; B0 has 1")
    parser.add_argument("--depth", type=float, default=1.0, help="of the EfficientNet; B0 has 1")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if options.part == "embed":
        options.images = options.images or 512
        race_embedding(options)
    else:
        options.images = options.images or 5000
        race_retrieval(options)


if __name__ == "__main__":
    main()
