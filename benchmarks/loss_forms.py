"""The contrastive loss and its gradients in each form, beside open_clip's local loss.

    .venv/bin/python benchmarks/loss_forms.py                            4,096 to 32,768 pairs
    .venv/bin/python benchmarks/loss_forms.py --pairs 1024 --repeat 3    a quick look

One rank has the whole batch; embeddings have the width of B7 + Base. Every contestant runs in a
process of its own:

    open_clip    `ClipLoss(local_loss=True)`, which has no label smoothing and halves the sum
    plain        the whole matrix
    rows         what `auto` takes for small batches
    tiled        what it takes for large ones; on a GPU of NVIDIA's by Triton's kernels
    tiled_torch  on a GPU alone: the same without them

Time is the best of the repeats: of the CPU on one thread, or of the wall on a GPU. Memory is the
peak above the embeddings: of the process's resident pages on a CPU, of PyTorch's allocator on a
GPU. A contestant that would need more than there is does not start.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from contestants import child_words, one_run

MATRICES = {"open_clip": 7, "plain": 10, "rows": 5, "tiled": 0, "tiled_torch": 0}
"""Matrices of pairs by pairs in fp32 that a contestant is given at least."""

SPARE_MIB = 1500
Work = Callable[[Any, Any, Any], Any]


def loss_of(contestant: str) -> Work:
    """Return the loss of image and text embeddings and the temperature."""
    if contestant == "open_clip":
        from open_clip.loss import ClipLoss

        clip_loss = ClipLoss(local_loss=True)
        return lambda image, text, temperature: clip_loss(image, text, 1 / temperature)
    from openalign.train.model import loss
    from openalign.train.model.loss_forms import tiled, torch_tiles

    form: Any = contestant
    if contestant == "tiled_torch":
        form = "tiled"
        without_triton: Any = lambda _: torch_tiles  # noqa: E731
        tiled._tiles_for = without_triton  # noqa: SLF001
    return lambda image, text, temperature: loss.contrastive_loss(
        image, text, temperature, label_smoothing=0.1, form=form
    )


def measure(contestant: str, num_pairs: int, width: int, repeat: int) -> dict[str, float]:
    import torch
    from torch.nn.functional import normalize

    torch.set_num_threads(1)
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    draw = torch.Generator().manual_seed(0)
    image, text = (
        normalize(torch.randn(num_pairs, width, generator=draw)).to(device).requires_grad_()
        for _ in range(2)
    )
    temperature = torch.tensor([0.05], device=device, requires_grad=True)
    loss = loss_of(contestant)
    loss(image[:64], text[:64], temperature).backward()  # starts libraries and compiles kernels
    if on_gpu:
        loss(image, text, temperature).backward()
    image.grad = text.grad = None
    before = memory_mib(device)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    times = [timed(loss, image, text, temperature) for _ in range(repeat)]
    return {"seconds": min(times), "mib": peak_mib(device) - before}


def timed(loss: Work, image: Any, text: Any, temperature: Any) -> float:
    import torch

    image.grad = text.grad = temperature.grad = None
    on_gpu = image.is_cuda
    if on_gpu:
        torch.cuda.synchronize()
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    loss(image, text, temperature).backward()
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - start


def memory_mib(device: Any) -> float:
    """Return what is held now, and have the peak begin there."""
    import torch

    if device.type == "cuda":
        return torch.cuda.memory_allocated() / 2**20
    with open("/proc/self/clear_refs", "w") as peak:  # noqa: PTH123
        peak.write("5")
    return status_mib("VmRSS")


def peak_mib(device: Any) -> float:
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return status_mib("VmHWM")


def status_mib(name: str) -> float:
    with open("/proc/self/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) for line in status if line.startswith(f"{name}:")) / 1024


def device_and_free_mib() -> tuple[str, float]:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0] / 2**20
    with open("/proc/meminfo") as meminfo:  # noqa: PTH123
        free = next(int(x.split()[1]) for x in meminfo if x.startswith("MemAvailable:"))
    with open("/proc/cpuinfo") as cpuinfo:  # noqa: PTH123
        model = next(x.split(":")[1].strip() for x in cpuinfo if x.startswith("model name"))
    return f"{model}, one thread", free / 1024


def race(options: argparse.Namespace) -> None:
    device, free_mib = device_and_free_mib()
    contestants = [name for name in MATRICES if name != "tiled_torch" or "thread" not in device]
    print(f"{device}; width {options.width}; fp32; best of {options.repeat}", flush=True)
    for num_pairs in options.pairs:
        reference: dict[str, float] | None = None
        for name in contestants:
            needed = MATRICES[name] * num_pairs**2 * 4 / 2**20 + SPARE_MIB
            if needed > free_mib:
                print(f"{num_pairs:>7,} {name:12} not run: it may need {needed:,.0f} MiB")
                continue
            words = (name, str(num_pairs), str(options.width), str(options.repeat))
            found: dict[str, float] = one_run(*words)
            if name == "open_clip":
                reference = found
            beside = ""
            if reference is not None:
                beside = (
                    f"  {found['seconds'] / reference['seconds']:.2f} x open_clip's time"
                    f"  {found['mib'] / max(reference['mib'], 1):.3f} x its memory"
                )
            print(
                f"{num_pairs:>7,} {name:12}{found['seconds']:>9.3f} s{found['mib']:>10,.0f} MiB"
                f"{beside}",
                flush=True,
            )


def main() -> None:
    if (words := child_words()) is not None:
        name, *numbers = words
        print(json.dumps(measure(name, *map(int, numbers))))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[4096, 8192, 16_384, 32_768])
    parser.add_argument("--width", type=int, default=640, help="of the embeddings")
    parser.add_argument("--repeat", type=int, default=2, help="the best counts")
    race(parser.parse_args())


if __name__ == "__main__":
    main()
