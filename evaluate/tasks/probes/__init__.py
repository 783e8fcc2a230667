"""Linear classifiers on embeddings that stay: of any labelled data set, and of VTAB-1k's 19.

`head_outcomes` is what both make of a head that `evaluate.linear` fitted.
"""
