"""ALIGN §3: `filter` judges alt-texts before images are fetched, `select` judges images after."""
