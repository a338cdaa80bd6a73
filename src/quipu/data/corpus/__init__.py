"""A corpus as one value, and what turns it into token shards: jobs, executors, stages."""
