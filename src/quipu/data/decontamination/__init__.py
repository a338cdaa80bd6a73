"""Benchmark texts kept out of the corpus, and the count of what was found."""
