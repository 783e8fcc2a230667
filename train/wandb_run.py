"""The curves of a run in Weights & Biases, beside TensorBoard's; only rank 0 has them.

The library is imported where `train.wandb` is given, and nowhere else. Nothing of it is part of the
result. The id lies beside the run's other notes: a start that goes on continues the same curves.
"""

import importlib.util
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openalign.errors import ConfigError
from openalign.files import storage
from openalign.files.names import WANDB_ID
from openalign.train.watching import Wandb

_STEP = "step"


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

        Raises:
            ConfigError: the library is not installed, or the service does not take the run.
        """
        require_wandb(settings)
        import wandb

        path = folder / WANDB_ID
        if not path.exists():
            storage.write_text(str(path), secrets.token_hex(4))
        try:
            self._run = wandb.init(
                project=settings.project,
                entity=settings.entity or None,
                name=settings.name or None,
                id=path.read_text().strip(),
                resume="allow",
                dir=str(folder),
                config=dict(config),
                settings=wandb.Settings(console="off", silent=True),
            )
        except wandb.Error as error:
            raise ConfigError(
                f"`train.wandb`: the run does not begin there: {error}",
                hint="`wandb login` on this machine, or WANDB_MODE=offline and `wandb sync` later",
            ) from error
        # The service's own count only rises; steps that a killed run had not saved come again.
        self._run.define_metric("*", step_metric=_STEP)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to curves."""
        self._run.log({**values, _STEP: step})

    def close(self) -> None:
        """Hand over what is left."""
        self._run.finish()
