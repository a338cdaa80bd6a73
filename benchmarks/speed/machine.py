"""What the machine is, and its two limits: reading weights, and multiplying matrices."""

import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from speed.cells import Result
from speed.environment import Environments, python_of

HERE = Path(__file__).resolve().parent


def usable_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> Result:
    """Processor, cores, memory, system."""
    facts = _cpuinfo()
    flags = set(facts.get("flags", "").split())
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16")
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "family_model": "/".join(facts.get(key, "?") for key in ("cpu family", "model")),
        "cores": usable_cores(),
        "memory_bytes": _memory_bytes(),
        "instructions": [flag for flag in wanted if flag in flags],
        "system": platform.platform(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def read_gb_per_s(threads: int) -> Result:
    """Read bandwidth in GB/s by size of the buffer in bytes; needs a C++ compiler."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "bandwidth"
        options = ["-std=c++20", "-O3", "-march=native", "-pthread", "-o", program]
        source = HERE / "bandwidth.cc"
        return _json([os.environ.get("CXX", "c++"), *options, source], [program, str(threads)])


def greatest(found: Sequence[Result]) -> Result:
    """The best of several measurements: neighbours on a shared host take bandwidth at times."""
    whole = [result for result in found if "failed" not in result]
    if not whole:
        return found[0] if found else {"failed": "nothing was measured"}
    return {size: max(result[size] for result in whole) for size in whole[0]}


def matrix_gop_per_s(environments: Environments, threads: int) -> Result:
    """Best matrix rate in GOP/s by number format, as PyTorch's oneDNN reaches it."""
    return _json([python_of(environments.runs), HERE / "matrix_rate.py", str(threads)])


def _json(*commands: list[str | Path]) -> Result:
    """What the last of the commands prints, or why one of them failed."""
    try:
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: Result = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError) as error:
        return {"failed": str(error)}
    return found
