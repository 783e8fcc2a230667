"""Settings of what is looked at while a run trains: pairs that are held out, and its curves."""

from dataclasses import dataclass

from openalign.settings.limits import positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Pairs that are kept out of training, and how often their loss is taken; not in the paper."""

    batches: int = 1
    """Batches of `global_batch_size` pairs, each of an image of its own; no other pair of these
    images is trained on either."""

    every_steps: int = 1000
    """Steps between two looks; the last step has one as well."""

    def __post_init__(self) -> None:
        positive(batches=self.batches, every_steps=self.every_steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wandb:
    """Where Weights & Biases shows a run; its own variables, such as WANDB_MODE, hold as well."""

    project: str = "openalign"
    """Its project there."""

    entity: str = ""
    """The user or team whose project it is; the account's own when empty."""

    name: str = ""
    """What it is called there; drawn by the service when empty."""
