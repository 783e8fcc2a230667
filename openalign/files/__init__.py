"""The files that stages exchange: storage, schemas, manifests, tables and shards."""
