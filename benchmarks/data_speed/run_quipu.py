"""Deduplicate a parquet file with Quipu in this process; print seconds and what was found.

python run_quipu.py PART WORK
"""

import json
import sys
import time
from pathlib import Path

from quipu.data.corpus.executors.local import LocalExecutor
from quipu.data.dedup.on_disk import duplicates
from quipu.data.dedup.settings import Near


def main() -> None:
    """All stages: signatures, buckets, shingles of candidates, true Jaccard, choice."""
    part, work = map(Path, sys.argv[1:])
    import pyarrow.parquet

    wall, cpu = time.perf_counter(), time.process_time()
    answer = duplicates([part], work, Near(), LocalExecutor(0))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    removed = pyarrow.parquet.read_metadata(answer).num_rows
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "removed": removed}))


if __name__ == "__main__":
    main()
