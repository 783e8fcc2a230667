"""Image bytes to pixels, sizes and hashes: one decoder for every stage."""
