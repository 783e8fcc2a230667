"""Where candidates come from: `site` crawls web sites, `table` reads lists of URLs and captions."""
