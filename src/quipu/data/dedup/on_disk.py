"""Duplicates among parquet parts of any size.

Memory is, at most, per process, besides what Python and its libraries take:

    the largest of `memory` bytes (tables of one partition), 40 MB (one bucket of
    `Near.all_pairs`), 150 bytes a document of the largest bucket, and the signatures of the
    largest part, 16 (bands + 4) bytes a document
    + 1 byte a document
    + 32 bytes a candidate document while pairs are verified
    + at the end, 100 bytes a truly similar pair and 500 a document removed or similar to another

Shingles are on disk, for candidates only: about 1.5 times their text.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quipu.data.corpus import jobs
from quipu.data.corpus.jobs import Executor, Job
from quipu.data.dedup import stages
from quipu.data.dedup.parts import Part, numbered
from quipu.data.dedup.settings import VERSION, Near

MEMORY = 2**29
_SHARES = 8  # of the pairs to verify: work for this many processes


def duplicates(
    parts: Sequence[Path],
    work: Path,
    near: Near | None,
    executor: Executor,
    memory: int = MEMORY,
) -> Path:
    """Make `work`/duplicates.parquet: id, kept_id, kind ("exact" or "near") and jaccard, by id.

    Without `near` only equal texts are duplicates. The same documents give the same bytes, however
    they are cut into parts, whatever runs the jobs and however little memory. Jobs that an earlier
    run finished are not done again.
    """
    corpus = _Corpus(parts=tuple(numbered(parts)), work=work, memory=memory, executor=executor)
    if not corpus.parts:
        return corpus.last("empty", stages.write_duplicates, ())
    signing = [corpus.signing(part, near) for part in corpus.parts]
    signed = stages.Signed(
        parts=corpus.parts, files=tuple(corpus.run(signing)), bands=near.bands if near else 0
    )
    [copies] = corpus.run([corpus.job("copies.npy", stages.equal, (signed, memory), "")])
    similar = _similar(corpus, signed, copies, near) if near else []
    return corpus.last(repr(near), stages.settle, signed, copies, similar)


def _similar(corpus: "_Corpus", signed: stages.Signed, copies: Path, near: Near) -> list[Path]:
    """Files of all pairs that are truly similar."""
    files = [f"pairs/{band:03}.u64" for band in range(near.bands)]
    pairing = [(signed, near, copies, band, corpus.memory) for band in range(near.bands)]
    pairs = corpus.run_all(files, stages.pair, pairing, near)
    marking = [(pairs, signed.documents)]
    [marks] = corpus.run_all(["candidates.npy"], stages.mark, marking, near)
    files = [f"shingles/{part.name}.u64" for part in corpus.parts]
    spilling = [(part, near, marks) for part in corpus.parts]
    spills = corpus.run_all(files, stages.spill, spilling, near)
    of = stages.shares(pairs, _SHARES, corpus.memory)
    files = [f"similar/{which}-of-{of}.npy" for which in range(of)]
    verifying = [(corpus.parts, spills, pairs, (n, of), near.jaccard) for n in range(of)]
    return corpus.run_all(files, stages.verify, verifying, near)


@dataclass(frozen=True, kw_only=True)
class _Corpus:
    """All parts, and the jobs over them."""

    parts: tuple[Part, ...]
    work: Path
    memory: int
    executor: Executor

    def signing(self, part: Part, near: Near | None) -> Job:
        """The only job that reads one part alone, so that a new part leaves the others' be."""
        return jobs.make(
            f"sign {part.name}",
            stages.sign,
            (part, near),
            self.work / "signatures" / f"{part.name}.npy",
            identity=(part.digest, (near.shingle, near.bands, near.rows) if near else ()),
            version=VERSION,
            size=part.path.stat().st_size,
        )

    def job(
        self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], how: str
    ) -> Job:
        """A job that depends on all parts, on `how`, and on what its name says."""
        digests = " ".join(part.digest for part in self.parts)
        return jobs.make(
            name,
            function,
            arguments,
            self.work / name,
            identity=(name, hashlib.sha256(digests.encode()).hexdigest(), how),
            version=VERSION,
        )

    def run(self, all_jobs: Sequence[Job]) -> list[Path]:
        """Do all jobs; the files they made."""
        jobs.complete(self.executor.run(all_jobs))
        return [job.output for job in all_jobs]

    def run_all(
        self,
        names: Sequence[str],
        function: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        near: Near,
    ) -> list[Path]:
        """Make one file of each name, from the arguments of each."""
        pairs = zip(names, arguments, strict=True)
        return self.run([self.job(name, function, one, repr(near)) for name, one in pairs])

    def last(self, how: str, function: Callable[..., Any], *arguments: Any) -> Path:
        """Make the answer."""
        return self.run([self.job("duplicates.parquet", function, arguments, how)])[0]
