"""What stages hand to each other: bytes on any storage, schemas, manifests, tables and shards."""
