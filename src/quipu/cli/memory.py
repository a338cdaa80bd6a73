"""Memory of this process."""

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
KIB = 1024


def peak_bytes() -> int | None:
    """Largest resident memory so far, pages of mapped files included; None if nobody tells.

    Linux' own word comes first: what getrusage says there outlives exec, so that a process would
    be charged with what started it.
    """
    try:
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIB
    except OSError:
        pass
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * KIB
