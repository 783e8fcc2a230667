"""The work of `fetch`: how it is cut, and how one part of it becomes shards and ledgers."""
