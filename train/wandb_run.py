"""The curves of a run in Weights & Biases, beside TensorBoard's; only rank 0 has them.

The library is imported where `train.wandb` is given, and nowhere else. Nothing of it is part of the
result. The id lies beside the run's other notes: a start that goes on continues the same curves.
An outage of the service costs curves: training neither ends nor waits long for it.
"""

import importlib.util
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openalign.errors import ConfigError
from openalign.files import storage
from openalign.files.names import WANDB_ID
from openalign.telemetry import say
from openalign.train.monitoring import Wandb

_STEP = "step"

BEGIN_SECONDS = 30.0
"""The other ranks wait so long for a service that does not answer a start."""

FINISH_SECONDS = 5.0
"""For what is left to hand over: a part of the 25 s that a preempted run has to save and end."""


def require_wandb(settings: Wandb | None) -> None:
    """See that the library is there where it is wanted, before anything is computed.

    Raises:
        ConfigError: it is not installed.
    """
    if settings is not None and importlib.util.find_spec("wandb") is None:
        raise ConfigError(
            "`train.wandb` is set, and the package wandb is not installed",
            hint="pip install 'openalign[wandb]'",
        )


class WandbRun:
    """One run of the service, from a start of a training to its end."""

    def __init__(self, settings: Wandb, folder: Path, *, config: Mapping[str, Any]) -> None:
        """Begin the run of the folder, or go on with it.

        A run that goes on does so without curves where the service cannot be reached.

        Raises:
            ConfigError: the library is not installed, or the service does not take a new run.
        """
        require_wandb(settings)
        import wandb

        self._run: Any = None
        self._is_told = False
        self._folder = folder
        path = folder / WANDB_ID
        goes_on = path.exists()
        run_id = path.read_text().strip() if goes_on else secrets.token_hex(4)
        try:
            self._run = wandb.init(
                project=settings.project,
                entity=settings.entity or None,
                name=settings.name or None,
                id=run_id,
                resume="allow",
                dir=str(folder),
                config=dict(config),
                settings=wandb.Settings(
                    console="off",
                    silent=True,
                    init_timeout=BEGIN_SECONDS,
                    finish_timeout=FINISH_SECONDS,  # at the exit of the process as well
                ),
            )
            # The service's own count only rises; steps that a killed run had not saved come again.
            self._run.define_metric("*", step_metric=_STEP)
        except Exception as error:
            if not goes_on:
                raise ConfigError(
                    f"`train.wandb`: the run does not begin there: {error}",
                    hint="`wandb login` on this machine, or WANDB_MODE=offline and `wandb sync` "
                    "later",
                ) from error
            self._go_on_without(error)
        if not goes_on:  # an id stands for a run that the service has taken
            storage.write_text(str(path), run_id)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to curves; none is added behind one that failed."""
        if self._run is not None:
            try:
                self._run.log({**values, _STEP: step})
            except Exception as error:  # noqa: BLE001  # the library's, and those of its connection
                self._go_on_without(error)

    def close(self) -> None:
        """Hand over what is left, as far as that takes seconds."""
        if self._run is None:
            return
        # The library's own limit needs an answer of its process.
        thread = threading.Thread(target=self._finish, name="wandb-finish", daemon=True)
        thread.start()
        thread.join(FINISH_SECONDS + 1)
        if thread.is_alive():
            self._go_on_without("it takes too long to hand over what is left")

    def _finish(self) -> None:
        try:
            self._run.finish()
            if self._run.offline:
                say(
                    "train     Weights & Biases was offline: `wandb sync` sends the curves of "
                    f"this start from wandb/ in {self._folder}, or where that was moved since"
                )
        except Exception as error:  # noqa: BLE001  # as above
            self._go_on_without(error)

    def _go_on_without(self, why: object) -> None:
        self._run = None
        if not self._is_told:
            self._is_told = True
            say(
                f"train     Weights & Biases lacks curves of this start: {why}. They are in "
                "tensorboard/, and `wandb sync` sends what lies in wandb/"
            )
