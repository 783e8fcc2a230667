"""Published numbers that the report shows as context: other models, another scale."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """Recall at 1, in percent, as printed in the source; None where it gives none."""

    model: str
    data: str | None
    """What it was trained on; None where the source does not say."""

    flickr_i2t: float | None
    flickr_t2i: float | None
    coco_i2t: float | None
    coco_t2i: float | None
    source: str


ZERO_SHOT_RECALL_AT_1 = (
    PublishedRow(
        model="ALIGN (L2 + Large)",
        data="1.8 billion pairs, not released",
        flickr_i2t=88.6,
        flickr_t2i=75.7,
        coco_i2t=58.6,
        coco_t2i=45.6,
        source="the paper, Table 1",
    ),
    PublishedRow(
        model="CLIP",
        data=None,
        flickr_i2t=88.0,
        flickr_t2i=68.7,
        coco_i2t=58.4,
        coco_t2i=37.8,
        source="the paper, Table 1",
    ),
    PublishedRow(
        model="ALIGN (B7 + Base)",
        data="1.8 billion pairs, not released",
        flickr_i2t=None,
        flickr_t2i=None,
        coco_i2t=55.4,
        coco_t2i=41.7,
        source="the paper, Tables 9 and 10",
    ),
    PublishedRow(
        model="COYO-ALIGN (B7 + Base)",
        data="COYO-700M",
        flickr_i2t=88.1,
        flickr_t2i=73.2,
        coco_i2t=61.2,
        coco_t2i=43.1,
        source="public reproduction, README",
    ),
    PublishedRow(
        model="kakaobrain/align-base",
        data=None,
        flickr_i2t=87.3,
        flickr_t2i=73.6,
        coco_i2t=59.3,
        coco_t2i=42.1,
        source="its Hugging Face weights, run by MTEB",
    ),
    PublishedRow(
        model="ALIGN (B3 + Mini)",
        data="Conceptual Captions 3M",
        flickr_i2t=None,
        flickr_t2i=None,
        coco_i2t=22.1,
        coco_t2i=17.3,
        source="the paper, Tables 9 and 10",
    ),
    PublishedRow(
        model="COYO-ALIGN (B3 + Mini)",
        data="Conceptual Captions 3M, the 86 % that could be downloaded",
        flickr_i2t=42.8,
        flickr_t2i=35.0,
        coco_i2t=21.2,
        coco_t2i=17.0,
        source="public reproduction, README",
    ),
)
