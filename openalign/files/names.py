"""The names of every stage's files and folders, in one place.

A table that is cut into files has a prefix: `candidates-00003-of-00064.parquet`. Names are part of
the file formats, so older results cannot be read after a change here.
"""

# harvest
CANDIDATES = "candidates-"
PAGES = "pages-"
HARVEST_PAGE = "harvest.html"
"""For people. No stage reads it."""

# filter
KEPT = "kept-"
REJECTED = "rejected-"
NGRAMS_FILE = "ngrams.u64"
"""The frequent n-grams: sorted little-endian hashes, even ones unigrams, odd ones bigrams."""

# fetch
LEDGERS = "ledger-"
SHARDS = "shard-"
FETCH_PAGE = "fetch.html"
"""For people. No stage reads it."""

PAGES_FOR_PEOPLE = frozenset({HARVEST_PAGE, FETCH_PAGE})
"""Files of a result that are no data."""

# select
TRAINING_PAIRS = "training-"
TRAINING_INDEX = "index-"
"""A file beside each of the training pairs: the same rows, for memory-mapping."""

DECISIONS = "decisions-"

# train
EXPORT_FOLDER = "export"
CHECKPOINTS_FOLDER = "checkpoints"
"""No part of the result: whatever ranks and stages wrote them."""

METRICS_FILE = "metrics.jsonl"
"""A line a step. The bytes are the same for a run that was killed and resumed."""

VOCABULARY_FILE = "vocabulary.txt"
SKIPPED_FILE = "skipped.jsonl"
"""The pairs of each step that changed nothing, and why."""

REWOUND_FILE = "rewound.jsonl"
"""Each loss spike for which steps were undone, with its pairs."""

REPLACED_FILE = "replaced.jsonl"
"""The pairs whose image could not be decoded, and why. For people: it grows at checkpoints."""

WANDB_ID = "wandb-id.txt"
"""Which run of Weights & Biases shows the curves; for people, as `RUN_LOG` is."""

WANDB_FOLDER = "wandb"
"""What the library of Weights & Biases keeps on the machine; the name is its own."""

# evaluate
RESULTS_FILE = "results.json"
RESAMPLES_FILE = "resamples.parquet"
EXAMPLES_FILE = "examples.json"
THUMBNAILS_FILE = "thumbnails.parquet"
IMAGE_MAP_FILE = "image_map.json"
CHUNKS_FILE = "embeddings/chunks.json"
SEARCH_ITEMS_FILE = "search/items.parquet"
SEARCH_FOLDERS_FILE = "search/folders.json"
"""Where the images lay on this machine; no part of the result."""

# report
REPORT_HTML = "report.html"
REPORT_MARKDOWN = "report.md"
TABLES_FOLDER = "tables"
"""The report's tables as CSV and LaTeX."""
MODEL_CARD = "model-card/README.md"
DATA_CARD = "data-card/README.md"
"""A folder each, because the hub looks for a card in `README.md`."""

# compare
COMPARE_FOLDER = "compare"
COMPARE_HTML = "compare.html"
COMPARE_MARKDOWN = "compare.md"
COMPARE_JSON = "compare.json"

# The run itself
RUN_LOG = "run.jsonl"
"""Times and rates, which no data file may hold."""

RUN_SETTINGS_FILE = "pipelines.yaml"
"""The settings of a run that no settings file describes."""

HASHES_FOLDER = ".hashes"
"""Hashes of files outside the run, so that they are not read again (`hash_cache`)."""

IMAGE_MEMBERS = ("jpg", "png", "webp", "gif", "bmp", "tif", "avif")
"""The endings of shard members that hold an image; a sample has one of them."""

SOURCE_FOLDER = "source"
"""The folder that a source's own images stay in, as the table of places in a manifest calls it."""


def source_shard(name: str) -> str:
    """Return the shard name of a file that lies in the source's folder."""
    return f"{SOURCE_FOLDER}/{name}"


def ledger_name(bucket: int, number: int, *, round_number: int = 0) -> str:
    """Return the name of a shard's ledger; images that are tried again are in rounds from 1 on."""
    tried_again = f"r{round_number:02d}-" if round_number else ""
    return f"{LEDGERS}{tried_again}{bucket:05d}-{number:05d}.parquet"


def rest_name(ledger: str, *, round_number: int) -> str:
    """Return the name of what is left of a ledger when a round has taken rows out of it."""
    return f"{ledger.partition('.')[0]}.rest-{round_number:02d}.parquet"


def shard_of_ledger(ledger: str) -> str:
    """Return the name of the tar that a ledger belongs to."""
    assert ledger.startswith(LEDGERS), ledger
    return f"{SHARDS}{ledger.removeprefix(LEDGERS).partition('.')[0]}.tar"


def index_name(shard: str) -> str:
    """Return the name of a shard's index."""
    return f"{shard.removesuffix('.tar')}.index.parquet"


def training_index_name(training: str) -> str:
    """Return the name of the index beside a file of training pairs."""
    assert training.startswith(TRAINING_PAIRS), training
    return f"{TRAINING_INDEX}{training.removeprefix(TRAINING_PAIRS).removesuffix('.parquet')}.arrow"


def table_file(table: str, number: int, num_files: int) -> str:
    """Return the name of one file of a table that is cut into `num_files`."""
    return f"{table}{number:05d}-of-{num_files:05d}.parquet"


def embeddings_file(name: str, what: str) -> str:
    """Return the name of a file of embeddings: `what` is `images`, `captions` or a task's texts."""
    return f"embeddings/{name}-{what}.npy"
