"""The C++ runtime: weights, key/value pages and one step of computation per call."""

ISA = "QUIPU_ISA"  # environment: portable, avx2, avx512 or amx instead of the best
