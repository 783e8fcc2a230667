"""One web page: from its bytes to what it holds. Knows no network, no files and no Beam."""
