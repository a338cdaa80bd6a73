"""What runs of benchmarks say: scores with intervals, comparisons, and answers to look at.

`reading` streams run folders into counts, `scores` and `compare` make numbers of them, `signs`
looks for broken prompts; `page` writes report.md, report.json and report.html.
"""
