"""Paired differences of models that were measured alike, for `openalign compare`.

Works on the files of complete results, without a model. May import from `evaluate`'s other rooms.
"""
