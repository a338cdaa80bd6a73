"""Where a model's Python function ends, for harnesses that cut at stop strings.

The list of the harness that the paper's authors point to (BigCode's, for HumanEval).
"""

STOPS = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif")
