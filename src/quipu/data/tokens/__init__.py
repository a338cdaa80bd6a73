"""Token shards: a corpus as token ids that are mapped as they lie (docs/formats.md)."""
