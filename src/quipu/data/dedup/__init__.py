"""Exact and near duplicates: MinHash finds pairs that may be alike, true Jaccard decides."""
