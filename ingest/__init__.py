"""From the web to shards: `harvest` finds candidates, `fetch` brings in their images."""
