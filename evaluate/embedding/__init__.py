"""From a model and a benchmark's images and texts to their embeddings.

`encoder` has the model, `embeddings` does the work and shares it among processes, and `chunks` keep
what was made. Nothing here measures; may import `metrics` and the data sets.
"""
