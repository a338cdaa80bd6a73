"""Grades that need no program: matching, similarity, BLEU."""
