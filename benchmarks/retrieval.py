"""The metric part of retrieval, beside clip_benchmark's own function.

    .venv/bin/python benchmarks/retrieval.py                MSCOCO's 5,000 x 25,000
    .venv/bin/python benchmarks/retrieval.py --images 500   a quick look

Compares the task's measure on random embeddings, intervals and examples included, with
clip_benchmark, which needs `pip install clip_benchmark==1.6.2`. The six recalls must be equal
before a figure is printed. Every contestant runs in a process of its own on the same cores; the
ratio is of CPU time.
"""

# ruff: noqa: N806  # capitals are shape suffixes

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from contestants import best_of, child_words, time_and_tell

WIDTH = 640
CAPTIONS = 5
RECALL_AT = (1, 5, 10)


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


def race(options: argparse.Namespace) -> None:
    print(f"{options.images:,} images, {options.images * CAPTIONS:,} captions, width {WIDTH}")
    found = {
        who: best_of(options.repeat, who, str(options.images)) for who in ("ours", "clip_benchmark")
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
    if (words := child_words()) is not None:
        time_and_tell(retrieve(words[0], int(words[1])))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeat", type=int, default=2, help="runs of each; the best counts")
    race(parser.parse_args())


if __name__ == "__main__":
    main()
