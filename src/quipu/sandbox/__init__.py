"""Run programs that nobody has read: no network, no view of the user's files, bounded in all."""
