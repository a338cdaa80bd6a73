"""Runs of benchmarks: answers drawn and judged side by side, every line kept, resumable anywhere.

A run folder holds RUN/TASK/{manifest.json, samples.jsonl, outcomes.jsonl}; see `folder`.
"""
