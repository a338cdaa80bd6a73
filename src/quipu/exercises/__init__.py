"""Exercises without a teacher: composed programs and real functions, all checked by running."""
