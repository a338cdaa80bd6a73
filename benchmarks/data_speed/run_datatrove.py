"""Deduplicate a parquet file with datatrove in this process; print seconds and what was found.

python run_datatrove.py PART WORK [words]

Its MinHash pipeline as its documentation has it: signatures, buckets, clusters. With `words` its
tokenizer for English is replaced by one regular expression, to see what is left without its slowest
piece.
"""

import json
import re
import sys
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import ParquetReader


class Words:
    """A tokenizer that costs next to nothing."""

    def word_tokenize(self, text: str) -> list[str]:
        """Runs of word characters, and other visible characters alone."""
        return re.findall(r"\w+|[^\w\s]", text)


def main() -> None:
    """Three stages, one after another in this process."""
    part, work = map(Path, sys.argv[1:3])
    light = sys.argv[3:] == ["words"]
    config = MinhashConfig()
    signature = MinhashDedupSignature(str(work / "signatures"), config=config)
    if light:
        signature.word_tokenizer = Words()
    else:
        signature.word_tokenizer.word_tokenize("loaded before the clock starts")
    reader = ParquetReader(str(part.parent), glob_pattern=part.name, doc_progress=False)
    folders = str(work / "signatures"), str(work / "buckets"), str(work / "removed")
    buckets = MinhashDedupBuckets(folders[0], folders[1], config=config)
    clusters = MinhashDedupCluster(folders[1], folders[2], config=config)
    wall, cpu = time.perf_counter(), time.process_time()
    for number, (stage, tasks) in enumerate(
        (([reader, signature], 1), ([buckets], config.num_buckets), ([clusters], 1))
    ):
        logs = str(work / f"logs-{number}")
        LocalPipelineExecutor(stage, tasks=tasks, workers=1, logging_dir=logs).run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    removed = sum(path.stat().st_size // 4 for path in (work / "removed").glob("*.remove"))
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "removed": removed}))


if __name__ == "__main__":
    main()
