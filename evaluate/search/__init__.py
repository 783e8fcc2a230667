"""Search over the pictures that `evaluate` embedded (ALIGN §7)."""
