"""A model's scorecard: many benchmarks, each as much of it as a small model needs, in one page."""
