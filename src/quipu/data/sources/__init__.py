"""Published packages: fetched once, recorded in a lock, read as documents."""
