"""Linear classifiers on embeddings: their gradient, how they are fitted, and what they score."""
