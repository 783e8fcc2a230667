"""Table 4: ImageNet and its variants, without labels."""

from openalign.evaluate.tables.contract import (
    ALIGN_BASE,
    ALIGN_DATA,
    ALIGN_MODEL,
    MTEB,
    ZERO_SHOT,
    Column,
    FilledBy,
    PaperTable,
    PublishedRow,
    Size,
    papers_row,
    printed,
)

IMAGENET = ("imagenet", "imagenet1k", "wds_imagenet1k")
IMAGENET_SPLITS = ("val", "test")
"""The validation images, which clip_benchmark's tars call `test`."""

NUM_IMAGENET_QUERIES = 50_000

NUM_IMAGENET_TRAIN = 1_281_167

_NUM_TEMPLATES = 80
"""CLIP's, which the paper takes (§5.2)."""

_TOP_1 = "top_1"


def _zero_shot(
    title: str, benchmarks: tuple[str, ...], num_queries: int, *, num_classes: int = 1_000
) -> Column:
    return Column(
        title=title,
        filled_by=FilledBy(
            kind="zero_shot",
            metric=_TOP_1,
            benchmarks=benchmarks,
            splits=IMAGENET_SPLITS,
            num_queries=num_queries,
            sizes=(
                Size(fact="num_classes", number=num_classes, words="classes"),
                Size(fact="templates", number=_NUM_TEMPLATES, words="templates"),
            ),
        ),
    )


TABLE_4 = PaperTable(
    number=4,
    title="zero-shot top-1 on ImageNet and its variants",
    columns=[
        _zero_shot("ImageNet", IMAGENET, NUM_IMAGENET_QUERIES),
        _zero_shot("ImageNet-R", ("imagenet_r", "wds_imagenet-r"), 30_000, num_classes=200),
        _zero_shot("ImageNet-A", ("imagenet_a", "wds_imagenet-a"), 7_500, num_classes=200),
        _zero_shot("ImageNet-V2", ("imagenet_v2", "wds_imagenetv2"), 10_000),
    ],
    rows=(
        papers_row(4, "CLIP", "76.2 88.9 77.2 70.1", setting=ZERO_SHOT),
        papers_row(4, ALIGN_MODEL, "76.4 92.2 75.8 70.1", setting=ZERO_SHOT, data=ALIGN_DATA),
        PublishedRow(
            model=ALIGN_BASE,
            setting=ZERO_SHOT,
            values=printed("62.7 - - -"),
            source=MTEB,
            protocol="not known: MTEB's own classes and prompts",
        ),
    ),
    our_setting=ZERO_SHOT,
    notes=(
        (
            "The published rows use the class names and 80 templates of CLIP. The prompts of a run "
            "stand in its section and under its settings."
        ),
        "Which of the three variants of ImageNet-V2 the paper used is not said.",
    ),
)
