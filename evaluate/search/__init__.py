"""Search over the images that `evaluate` embedded (ALIGN §7)."""
