"""All tables of the paper that a run can stand in, in the paper's order."""

from openalign.evaluate.tables.ablation_tables import TABLE_9, TABLE_10, TABLE_12
from openalign.evaluate.tables.class_tables import TABLE_4, TABLE_5, TABLE_6, TABLE_7
from openalign.evaluate.tables.retrieval_tables import TABLE_1, TABLE_2, TABLE_3, TABLE_11

PAPER = (
    "C. Jia et al., Scaling Up Visual and Vision-Language Representation Learning With Noisy Text "
    "Supervision, ICML 2021."
)

TABLES = (
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TABLE_5,
    TABLE_6,
    TABLE_7,
    TABLE_9,
    TABLE_10,
    TABLE_11,
    TABLE_12,
)
