"""What a training run notes and shows while it runs; only rank 0 has a journal.

metrics.jsonl     a line a step; the same bytes whether or not the run was ever killed
skipped.jsonl     the pairs of every step that was skipped, and why; absent when none was
rewound.jsonl     every spike for which steps were undone; absent when none was
replaced.jsonl    the pairs whose image could not be decoded (`replaced_images`)
run.jsonl         each start with its ranks, times and rates: never compared
tensorboard/      both, for people; Weights & Biases has the same curves where `train.wandb` is set
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from openalign.files import storage
from openalign.files.names import (
    METRICS_FILE,
    REPLACED_FILE,
    REWOUND_FILE,
    RUN_LOG,
    SKIPPED_FILE,
)
from openalign.progress import display_of
from openalign.telemetry import JsonLines, say
from openalign.train.utilization import Utilization
from openalign.train.wandb_run import WandbRun

LOSS = "train/loss"
"""Mean over ranks of both directions' sum: the loss of Eq. 1 plus Eq. 2 on the global batch."""

TEMPERATURE = "train/temperature"
"""After the step."""

LEARNING_RATE = "train/learning_rate"
GRADIENT_NORM = "train/gradient_norm"
"""Of the global gradient, before clipping."""

EPOCH = "train/epoch"
"""Passes over the training pairs when the step has ended."""

UNKNOWN_SHARE = "train/unknown_share"
"""Of the global batch's word pieces, those that are [UNK]: what the vocabulary cannot say."""

VALIDATION_LOSS = "validation/loss"
"""Of the weights that the step begins with, on pairs that training does not see."""

REPLACED = "train/replaced_images"
"""Images of the global batch that could not be decoded and were replaced."""

TRUST_RATIO_MIN = "train/trust_ratio_min"
TRUST_RATIO_MAX = "train/trust_ratio_max"
"""Over all adapted parameters."""

_SECONDS_BETWEEN_TIMES = 5.0


class _StepLine(msgspec.Struct, frozen=True):
    """What every line of `metrics.jsonl` and `skipped.jsonl` begins with."""

    step: int


_STEP_LINES = msgspec.json.Decoder(_StepLine)


class Journal:
    """The files and the progress line of one run.

    `check` is called before each line of a file that belongs to the result, and raises where
    another run has taken the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        first_step: int,
        total_steps: int,
        check: Callable[[], None] = lambda: None,
        wandb_run: WandbRun | None = None,
        utilization: Utilization | None = None,
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        _forget_from(folder / REPLACED_FILE, first_step)
        self.num_lines = {
            name: _forget_from(folder / name, first_step) for name in (METRICS_FILE, SKIPPED_FILE)
        }
        """Lines of this rank's files, by their names."""

        self._folder = folder
        self._total_steps = total_steps
        self._metrics = JsonLines(folder / METRICS_FILE)
        self._skipped = JsonLines(folder / SKIPPED_FILE)
        self._rewound = folder / REWOUND_FILE
        self._times = JsonLines(folder / RUN_LOG)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)
        self._wandb = wandb_run
        self._utilization = utilization
        self._display = display_of("train", total=total_steps, unit="step")
        self._throughput = _Throughput()
        self._noted = -math.inf  # never: the clock may be at 0
        self._check = check

    def started(self, step: int, num_pairs: int, **values: int) -> None:
        """Note and tell a start of the run: its first step, its pairs, and what ranks it has."""
        self._times.write(time=time.time(), step=step, **values)
        left, total = self._total_steps - step, self._total_steps
        say(f"train     {left:,} of {total:,} steps are left, on {num_pairs:,} pairs")

    def tell_lost(self, num_lines: Mapping[str, int]) -> None:
        """Say and note where a file lacks some of the lines that a checkpoint has counted.

        Training goes on: the weights do not depend on them, and a step that is taken again costs
        more than its line.
        """
        for name, wanted in num_lines.items():
            lost = wanted - self.num_lines[name]
            if lost > 0:
                say(
                    f"train     {self._folder / name} has lost {lost:,} of the {wanted:,} lines "
                    "that it had at the checkpoint: the weights are whole, and the result lacks "
                    "them"
                )
                self._times.write(time=time.time(), file=name, lost_lines=lost)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Write the metrics of a step."""
        self._check()
        self._metrics.write(step=step, **values)
        self.num_lines[METRICS_FILE] += 1
        self._draw(step, values)

    def skipped(self, step: int, keys: Sequence[str], *, why: str) -> None:
        """Write down a step that changed nothing, with the keys of its pairs."""
        say(f"step {step} was skipped: {why}")
        self._check()
        self._skipped.write(step=step, why=why, keys=list(keys))
        self.num_lines[SKIPPED_FILE] += 1

    def rewound(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write down all rewinds that led to where the run is."""
        self._check()
        storage.remove(str(self._rewound))
        if lines:
            content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            storage.write_text(str(self._rewound), content)

    def passed(
        self, step: int, *, num_samples: int, num_tokens: int, waited: float, shown: str
    ) -> None:
        """Count a step's samples, tokens and seconds of waiting for data; show where the run is."""
        self._throughput.count(num_samples, num_tokens, waited)
        now = time.monotonic()
        self._display.show(
            step + 1, f"{shown}  {self._throughput.samples_per_second():.0f} samples/s"
        )
        if now - self._noted >= _SECONDS_BETWEEN_TIMES:
            self._noted = now
            self._note(step)

    def close(self) -> None:
        """End the progress line and flush what TensorBoard holds back."""
        self._display.close()
        self._board.close()
        if self._wandb is not None:
            self._wandb.close()

    def _draw(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.add(step, values)

    def _note(self, step: int) -> None:
        values = {
            "samples_per_second": self._throughput.samples_per_second(),
            "data_wait_share": self._throughput.data_wait_share(),
        }
        if self._utilization is not None:
            values["mfu"] = self._throughput.share_of_peak(self._utilization)
        self._times.write(step=step, time=time.time(), **values)
        self._draw(step, {f"speed/{name}": value for name, value in values.items()})
        self._throughput = _Throughput()


class _Throughput:
    """Samples, tokens and waiting since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._num_samples = self._num_tokens = 0
        self._waited = 0.0

    def count(self, num_samples: int, num_tokens: int, waited: float) -> None:
        self._num_samples += num_samples
        self._num_tokens += num_tokens
        self._waited += waited

    def samples_per_second(self) -> float:
        return self._num_samples / self._seconds()

    def data_wait_share(self) -> float:
        return self._waited / self._seconds()

    def share_of_peak(self, utilization: Utilization) -> float:
        return utilization.share(
            num_pairs=self._num_samples, num_tokens=self._num_tokens, seconds=self._seconds()
        )

    def _seconds(self) -> float:
        return max(time.monotonic() - self._started, 1e-9)


def _forget_from(path: Path, step: int) -> int:
    """Drop the lines of steps that a killed run had written but not saved; return how many stay."""
    if not path.exists():
        return 0
    kept: list[bytes] = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if _STEP_LINES.decode(line).step < step:
                kept.append(line)
        except msgspec.DecodeError:  # its writing was cut off
            break
    if kept:
        storage.write_bytes(str(path), b"".join(kept))
    else:
        path.unlink()
    return len(kept)
