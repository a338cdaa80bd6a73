"""Benchmarks with declared protocols, run against any backend and judged in the sandbox."""
