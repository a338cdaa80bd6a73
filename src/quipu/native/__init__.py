"""The C++ runtime: weights, key/value pages and one step of computation per call."""
