"""Training pairs: their order, reading, augmentation and preprocessing."""
