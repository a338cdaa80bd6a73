"""Settings of every test."""

import os

# Before torch is imported: threads that wait for each other lose far more on a busy machine than
# a second one gains on models as small as the tests'.
os.environ.setdefault("OMP_NUM_THREADS", "1")
