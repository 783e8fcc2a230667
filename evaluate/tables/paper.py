"""All tables of the paper that a run can stand in, in the paper's order."""

from openalign.evaluate.tables.ablation_tables import TABLE_9, TABLE_10, TABLE_12
from openalign.evaluate.tables.class_tables import TABLE_4
from openalign.evaluate.tables.label_tables import TABLE_5, TABLE_6, TABLE_7
from openalign.evaluate.tables.retrieval_tables import TABLE_1, TABLE_2, TABLE_3, TABLE_11

PAPER = (
    "C. Jia et al., Scaling Up Visual and Vision-Language Representation Learning With Noisy Text "
    "Supervision, ICML 2021."
)

BIBTEX = """\
@inproceedings{jia2021align,
  title     = {Scaling Up Visual and Vision-Language Representation Learning With Noisy Text Supervision},
  author    = {Jia, Chao and Yang, Yinfei and Xia, Ye and Chen, Yi-Ting and Parekh, Zarana and Pham, Hieu and
               Le, Quoc V. and Sung, Yunhsuan and Li, Zhen and Duerig, Tom},
  booktitle = {Proceedings of the 38th International Conference on Machine Learning},
  year      = {2021},
  url       = {https://arxiv.org/abs/2102.05918},
}"""  # noqa: E501  # as BibTeX has it

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
