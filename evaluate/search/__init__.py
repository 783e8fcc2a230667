"""Search by text, by image, and by image plus or minus texts (ALIGN §7)."""
