"""What a step of a real run asks of the other ranks and of its device, with what asks for it.

Called by rank_checks.py, so that ranks are started once. A CPU is no device, so what would be a
wait for one is told by the call: `Tensor.tolist`, `float(tensor)` and so on, but for tensors that
lie on the host whatever the device, which are those of a batch and what is made of them alone.
"""

import sys
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Self
from unittest.mock import patch

import torch
from tiny_training import make_corpus, tiny_config, train
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from openalign.train import loop, passes
from openalign.train.config import Duration, ZeroConfig
from openalign.train.data.pairs import Batch
from openalign.train.data.preprocess import TokenBatch
from openalign.train.ranks import RankGroup, on_rank_0
from openalign.train.updates import Lamb

CASES = ("0 rows", "1 tiled", "2 rows", "3 tiled")
"""ZeRO's stages, and the loss in either form."""

_COUNTED = 1
"""The step that is counted, from its beginning to that of the next; no checkpoint lies between."""

_WAITS = {
    *("item", "tolist", "numpy", "cpu", "nonzero", "masked_select", "equal", "unique"),
    *("__float__", "__int__", "__bool__", "__index__", "__array__", "is_nonzero"),
}
_COPIES = {"tensor", "as_tensor", "new_tensor"}
"""Numbers that are put on a device so come from memory that is not pinned, which waits for it."""


def run(folder: str, ranks: RankGroup) -> dict[str, dict[str, Mapping[str, int]]]:
    """Return, by case, how often each function asks for a collective, and for a wait."""
    corpus = on_rank_0(ranks, lambda: make_corpus(Path(folder, "corpus")))
    found: dict[str, dict[str, Mapping[str, int]]] = {}
    for case in CASES:
        stage, form = case.split()
        config = tiny_config(
            optimizer=Lamb(),
            loss=form,
            zero=ZeroConfig(stage=int(stage), persistence_threshold=0),  # pyright: ignore[reportArgumentType]
            duration=Duration(steps=_COUNTED + 2),
            batch_norm_batches=1,
            checkpoint_every_steps=1000,
        )
        root = Path(folder, case)
        with _Counting() as counted:
            train(config, corpus, str(root / "output"), str(root / "work"))
        found[case] = {"collectives": counted.collectives, "waits": counted.waits}
    return found


class HostTensor(Tensor):
    """A tensor that stays on the host; what is made of it stays there too, but for a copy."""

    def to(self, *_: Any, **options: Any) -> Tensor:
        """Return what a copy on a device would be."""
        assert options.get("non_blocking"), "a copy of a batch waits for the device"
        return self.as_subclass(Tensor).clone()


class _Counting:
    """Counts what a run does between two of its steps, by what does it."""

    def __init__(self) -> None:
        self.collectives: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self._steps = 0
        self._held = ExitStack()
        self._modes = ExitStack()

    def __enter__(self) -> Self:
        step, batches = loop._step, passes.batches

        def counted_step(*given: Any, **named: Any) -> Any:
            self._modes.close()
            if self._steps == _COUNTED:
                self._modes.enter_context(_Collectives(self.collectives))
                self._modes.enter_context(_Waits(self.waits))
            self._steps += 1
            return step(*given, **named)

        def host_batches(*given: Any, **named: Any) -> Generator[Batch]:
            return _on_host(batches(*given, **named))

        self._held.enter_context(patch.object(loop, "_step", counted_step))
        self._held.enter_context(patch.object(passes, "batches", host_batches))
        return self

    def __exit__(self, *_: object) -> None:
        self._modes.close()
        self._held.close()
        assert self._steps == _COUNTED + 2


class _Collectives(TorchDispatchMode):
    """Counts the operations of `torch.distributed`, those of object collectives among them."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self._counts = counts

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func.namespace == "c10d":
            self._counts[_asked_by()] += 1
        return func(*args, **(kwargs or {}))


class _Waits(TorchFunctionMode):
    """Counts the calls that would wait for a device."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self._counts = counts

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        name = getattr(func, "__name__", "")
        if _waits(name, args, options):
            self._counts[f"{_asked_by()} {name}"] += 1
        return func(*args, **options)


def _waits(name: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
    if name in _COPIES:
        return "device" in options or name == "new_tensor"
    if not args or isinstance(args[0], HostTensor):
        return False
    chosen = args[1] if name == "__getitem__" and len(args) > 1 else None
    by_mask = isinstance(chosen, Tensor) and chosen.dtype is torch.bool
    return name in _WAITS or by_mask


def _asked_by() -> str:
    """Return the innermost function of this project, and whether it had DeepSpeed do it."""
    frame: FrameType | None = sys._getframe(2)
    through_deepspeed = False
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        through_deepspeed |= module.startswith("deepspeed.")
        if module.startswith("openalign."):
            name = f"{module.removeprefix('openalign.train.')}.{frame.f_code.co_name}"
            return f"DeepSpeed for {name}" if through_deepspeed else name
        frame = frame.f_back
    return "nobody"


def _on_host(batches: Generator[Batch]) -> Generator[Batch]:
    def host(tensor: Tensor) -> Any:
        return tensor.as_subclass(HostTensor)

    try:
        for batch in batches:
            pixels: Any = batch.pixels
            tokens = TokenBatch(host(batch.tokens.ids), host(batch.tokens.mask))
            yield replace(
                batch,
                pixels=replace(pixels, images=host(pixels.images)),
                tokens=tokens,
                image_ids=host(batch.image_ids),
            )
    finally:
        batches.close()
