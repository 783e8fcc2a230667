"""The crawl of a site: its scope, its sitemaps, and the chunks that it goes on from."""
