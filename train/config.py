"""Settings of training (ALIGN §4.1, §5). Every default is the paper's or says that it is not."""

from dataclasses import dataclass, field
from typing import Literal

from openalign.settings.fields import refused, runtime, runtime_factory, usually_called
from openalign.settings.limits import not_negative, positive, share
from openalign.train.monitoring import Validation, Wandb
from openalign.train.presets import LEAST_BLOCK, ImageTower, TextTower, block_multiple
from openalign.train.starting_points import FromModel, FromRun, FromTowers
from openalign.train.stopping import Stopping
from openalign.train.updates import (
    AdamW,
    Ema,
    Lamb,
    RewindSpikes,
    Schedule,
    SkipSpikes,
    Temperature,
)

_LARGEST_BLOCK_BY_DEFAULT = 256
"""The paper's batch then has 64 blocks: as many ranks can share it, each in a single pass."""

LossForm = Literal["auto", "plain", "rows", "tiled"]

StepWeights = Literal["last", "ema"]
"""What a step leaves to be exported: its weights, or their average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """How long to train: exactly one of the two is set."""

    steps: int | None = None
    """Updates; the paper's main model takes 1.2 million."""

    epochs: float | None = None
    """Passes over the training pairs, rounded up to whole steps."""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(
                f"steps and epochs exclude each other and one must be set, got steps={self.steps}, "
                f"epochs={self.epochs}: write the other one as null"
            )
        positive(steps=self.steps, epochs=self.epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The two towers and what they are given (ALIGN §4.1 and §5)."""

    image_tower: ImageTower = field(default_factory=ImageTower)
    """Size and regularization of the image encoder."""

    text_tower: TextTower = field(default_factory=TextTower)
    """Size and regularization of the text encoder."""

    resize_px: int = 346
    """Images are resized to a square of this side, whatever their shape."""

    crop_px: int = 289
    """Side of the square that the image tower sees: a random crop in training, else the middle."""

    max_tokens: int = 64
    """Word pieces an alt-text is cut to, with the two that mark its ends. What the run begins from
    may have positions for more, and keeps them."""

    vocabulary_size: int = 100_000
    """Most word pieces that the vocabulary may hold; small corpora yield fewer."""

    lowercase: bool = True
    """Fold case before cutting words; accents stay. The paper does not say."""

    normalization: Literal["none", "nfc", "nfkc"] = "nfc"
    """Unicode form of a text before it is cut: `nfc` makes a letter and its accent one character,
    `nfkc` also full-width letters, ligatures and signs plain ones; `none` is a BERT's."""

    split_symbols: bool = True
    """Cut emoji and other symbols from the words that they touch, as punctuation is; off in a
    BERT's own tokenizer."""

    def __post_init__(self) -> None:
        positive(crop_px=self.crop_px)
        if self.resize_px < self.crop_px:
            raise ValueError(
                f"resize_px must be at least crop_px, got {self.resize_px} and {self.crop_px}"
            )
        if self.max_tokens < 3:
            raise ValueError(
                f"max_tokens must be at least 3, got {self.max_tokens}: two of them mark the ends"
            )
        if self.vocabulary_size < 100:
            raise ValueError(f"vocabulary_size must be at least 100, got {self.vocabulary_size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What is done to a training image. Crop and flip are the paper's; the rest is off there."""

    random_crop: bool = True
    """Crop anywhere (ALIGN §5); in the middle otherwise."""

    horizontal_flip: bool = True
    """Mirror every other image (ALIGN §5). Wrong where words tell left from right."""

    rotation_degrees: float = 0.0
    """Turn by up to this, either way."""

    scale: float = 0.0
    """Zoom by a factor from 1 minus this to 1 plus this."""

    stretch: float = 0.0
    """Change the aspect ratio by a factor of up to e to this, either way."""

    shift: float = 0.0
    """Move by up to this share of the side, either way."""

    def __post_init__(self) -> None:
        not_negative(
            rotation_degrees=self.rotation_degrees,
            scale=self.scale,
            stretch=self.stretch,
            shift=self.shift,
        )
        if self.scale >= 1:
            raise ValueError(f"scale must be below 1, got {self.scale}")

    @property
    def warps(self) -> bool:
        """Whether images are resampled, not only cropped."""
        return any((self.rotation_degrees, self.scale, self.stretch, self.shift))


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroConfig:
    """What DeepSpeed's ZeRO spreads over the ranks; another choice rounds sums in another order.

    So it is no part of the fingerprint, as the number of ranks is none: a run goes on under another
    stage from the checkpoint that is there.
    """

    stage: Literal[0, 1, 2, 3] = runtime(2)
    """0: nothing; 1: optimizer states; 2: gradients too; 3: parameters too."""

    sub_group_size: int = runtime(1_000_000_000)
    """Elements of a stage-3 shard that are updated at a time."""

    persistence_threshold: int = runtime(100_000)
    """Stage 3 keeps parameters of fewer elements whole on every rank."""

    bucket_size: int = runtime(500_000_000)
    """Elements of gradients that are reduced at a time, and of parameters that are gathered."""

    def __post_init__(self) -> None:
        positive(sub_group_size=self.sub_group_size, bucket_size=self.bucket_size)
        not_negative(persistence_threshold=self.persistence_threshold)


@usually_called(
    {
        "batch_size": "global_batch_size",
        "num_gpus": "num_processes",
        "num_workers": "decode_threads",
        "workers": "decode_threads",
        "gradient_accumulation_steps": "block_size",
        "accum_freq": "block_size",
        "pretrained": "init_from",
        "report_to": "wandb",
    }
)
@refused(
    {
        "precision": {
            "fp16": "gradients of a contrastive loss underflow in it, and what would keep them, "
            "loss scaling, skips steps: write bf16, which has the range of fp32"
        }
    }
)
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """A training run."""

    seed: int = 0
    """Seed of everything that is drawn: weights, order, augmentation, dropout."""

    global_batch_size: int = 16_384
    """Pairs an update sees over all ranks; every one is a negative of every other (ALIGN §5)."""

    block_size: int | None = None
    """Pairs that go through the towers together; ranks own whole blocks, one after the other.

    The batch is a multiple of it. Null: the whole batch up to 256 pairs, and 256 beyond.
    """

    duration: Duration = field(default_factory=lambda: Duration(steps=1_200_000))
    """How long to train (ALIGN §5: 1.2 million steps)."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The two encoders, and the sizes of what they see."""

    init_from: FromModel | FromRun | FromTowers | None = None
    """What the weights begin from; null draws them. A setting of `model` that has its default is
    then unset: the value of what the run begins from is taken. Any other value must be that one."""

    optimizer: Lamb | AdamW = field(default_factory=Lamb)
    """How weights follow their gradients (ALIGN §5: LAMB)."""

    learning_rate_factors: dict[str, float] = field(default_factory=dict[str, float])
    """Factors of the learning rate by patterns over parameters, such as {image_tower: 0.1}; those
    of all patterns that mean a parameter are multiplied."""

    frozen: tuple[str, ...] = ()
    """Patterns over the parameters that stay as they are, such as [image_tower,
    text_tower.embeddings]. What is frozen whole is in evaluation mode."""

    ema: Ema | None = None
    """Average the weights over steps; null does not."""

    validation: Validation | None = None
    """Take the loss on pairs that training does not see; null does not."""

    export: Literal["last", "ema", "best"] = "last"
    """Which weights are exported: the last, their average, or those best in validation."""

    temperature: Temperature = field(default_factory=Temperature)
    """The learned scalar that divides the logits (ALIGN §4.1)."""

    schedule: Schedule = field(default_factory=Schedule)
    """How the learning rates rise and fall (ALIGN §5)."""

    augmentation: Augmentation = field(default_factory=Augmentation)
    """How training images are varied (ALIGN §5)."""

    zero: ZeroConfig = field(default_factory=ZeroConfig)
    """How DeepSpeed spreads states, gradients and parameters over the ranks."""

    label_smoothing: float = 0.1
    """Mass that both softmaxes move off the matching pair (ALIGN §5)."""

    loss: LossForm = "auto"
    """How the loss is computed: equal but for rounding, so another form trains another model.

    `rows` keeps matrices of this rank's pairs by all, `tiled` makes tiles of them twice, `plain`
    has the whole matrix on every rank. `auto` is `rows` up to a global batch of 2,048, else
    `tiled`, whatever the devices and the number of ranks.
    """

    same_image_negatives: Literal["keep", "mask"] = "keep"
    """Whether different pairs of one image are negatives of each other, as in the paper, or not."""

    gradient_clipping: float = 0.0
    """Longest gradient over all parameters; 0 clips nothing. The paper does not say."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: the towers run under autocast; weights, statistics, temperature and loss stay fp32."""

    compile: bool = False
    """Compile the towers (`torch.compile`); texts are padded to `max_tokens`. Not in stage 3."""

    loss_spikes: SkipSpikes | RewindSpikes | None = None
    """What happens at a step whose loss is finite and far above those before; null: nothing."""

    batch_norm_batches: int = 20
    """Batches on which batch-norm statistics are estimated again before the export."""

    nonfinite_steps_in_a_row: int = runtime(10)
    """Stop after so many steps in a row whose loss or gradient was not finite."""

    checkpoint_every_steps: int = runtime(1000)
    """Steps between two checkpoints: a crash costs no more."""

    keep_checkpoints: int = runtime(2)
    """How many of the newest checkpoints are kept, the last one of a complete run among them."""

    keep_every_steps: int = runtime(0)
    """Checkpoints whose step is a multiple of this are kept as well; 0 keeps none of them."""

    stop: Stopping = runtime_factory(Stopping)  # noqa: RUF009  # a field
    """When a run is stopped before its end, and how long it may take to save."""

    hang_minutes: float | None = runtime(15.0)
    """End a run in which no rank gets on for so long, and name those behind; null: wait for ever.

    Nothing that a step does may take longer, a compilation included; a checkpoint's files may.
    """

    log_every_steps: int = runtime(1)
    """Steps between two lines of metrics; the last step always has one."""

    wandb: Wandb | None = runtime(None)  # noqa: RUF009  # a field
    """Send the curves to Weights & Biases as well; null does not."""

    num_processes: int = runtime(0)
    """Ranks on this machine, one a GPU at most, and no more than blocks; 0 means as many as there
    are GPUs and blocks for, or one where there is no GPU.

    Sums are rounded in another order on another number of ranks.
    """

    decode_threads: int = runtime(4)
    """Threads of a rank that read, decode and crop images ahead of the step; each takes a core."""

    read_timeout_seconds: float | None = runtime(300.0)
    """End a run in which the read of one image takes longer, and name it; null: wait for ever.

    File servers and object stores may need minutes when a part of them fails.
    """

    image_cache_mb: int = runtime(1024)
    """Decoded images stay in a rank's memory if all of them fit into this."""

    shard_cache_mb: int = runtime(8192)
    """Room on this machine's disk, below its temporary folder, for parts of shards that lie under a
    URL. All ranks share it, and later runs find them there; 0 keeps none."""

    bad_images: Literal["stop", "replace"] = "stop"
    """What happens where an image cannot be decoded: `replace` takes the pair at the same place of
    the next batch instead, counts it and names it in `replaced.jsonl`."""

    def __post_init__(self) -> None:
        positive(
            global_batch_size=self.global_batch_size,
            batch_norm_batches=self.batch_norm_batches,
            nonfinite_steps_in_a_row=self.nonfinite_steps_in_a_row,
            checkpoint_every_steps=self.checkpoint_every_steps,
            keep_checkpoints=self.keep_checkpoints,
            log_every_steps=self.log_every_steps,
            hang_minutes=self.hang_minutes,
            decode_threads=self.decode_threads,
            read_timeout_seconds=self.read_timeout_seconds,
        )
        share(label_smoothing=self.label_smoothing)
        not_negative(
            seed=self.seed,
            gradient_clipping=self.gradient_clipping,
            keep_every_steps=self.keep_every_steps,
            num_processes=self.num_processes,
            image_cache_mb=self.image_cache_mb,
            shard_cache_mb=self.shard_cache_mb,
        )
        _check_blocks(self)
        if self.compile and self.zero.stage == 3:
            raise ValueError(
                "compile must be false where zero.stage is 3, which gathers parameters between "
                "layers: take stage 2"
            )
        if self.export == "ema" and self.ema is None:
            raise ValueError("export must be last where ema is null: there is no average")
        if self.export == "best" and self.validation is None:
            raise ValueError("export must be last where validation is null: none is the best")
        positive(**{f"learning_rate_factors.{k}": v for k, v in self.learning_rate_factors.items()})
        steps = self.duration.steps
        if steps is not None and self.schedule.warmup_steps >= steps:
            raise ValueError(
                f"schedule.warmup_steps must be below duration.steps, got "
                f"{self.schedule.warmup_steps} and {steps}: the warm-up is part of the duration"
            )

    @property
    def pairs_per_block(self) -> int:
        """`block_size`, or what null stands for."""
        return pairs_per_block(self.global_batch_size, self.block_size)

    @property
    def num_blocks(self) -> int:
        """Blocks of a global batch."""
        return self.global_batch_size // self.pairs_per_block


def pairs_per_block(global_batch_size: int, block_size: int | None) -> int:
    """Return `block_size`, or what null stands for: the whole batch, up to 256 pairs."""
    return min(global_batch_size, _LARGEST_BLOCK_BY_DEFAULT) if block_size is None else block_size


def _check_blocks(config: TrainConfig) -> None:
    if config.global_batch_size < 2:
        raise ValueError("global_batch_size must be at least 2, got 1: a pair needs a negative")
    size = config.pairs_per_block
    if size < LEAST_BLOCK:
        raise ValueError(f"block_size must be at least 2, got {size}: batch norm needs two images")
    if config.global_batch_size % size:
        raise ValueError(
            f"global_batch_size must be a multiple of block_size, got {config.global_batch_size} "
            f"and {size}: blocks are equally large"
        )
    multiple = block_multiple(config.model.image_tower.batch_norm)
    if size % multiple:
        raise ValueError(
            f"block_size must be a multiple of model.image_tower.batch_norm.group_size, got {size} "
            f"and {multiple}: groups lie inside a block"
        )
