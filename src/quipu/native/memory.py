"""How much memory this process may still take."""

from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Bytes free for a process: the machine's, less if a control group says so; None: unknown."""
    machine = _meminfo("MemAvailable")
    group = _group()
    found = [amount for amount in (machine, group) if amount is not None]
    return min(found, default=None)


def _meminfo(name: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    return None


def _group() -> int | None:
    """Room under the tightest memory limit from this process's control group (v2) to the root."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    own = next((line[3:] for line in lines if line.startswith("0::")), None)
    if own is None:
        return None
    folder = _GROUPS / own.lstrip("/")
    rooms = [_room(path) for path in (folder, *folder.parents) if path.is_relative_to(_GROUPS)]
    return min((room for room in rooms if room is not None), default=None)


def _room(folder: Path) -> int | None:
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(0, int(limit) - used)
