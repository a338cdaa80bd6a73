"""Which packages are kept for validation, whole."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

LEAST_FILES = 8  # fewer are all trained on, unless the share says otherwise


def is_drawn(package: str, share: float) -> bool:
    """Whether a package is held out by its name alone, which draws `share` of all names."""
    digest = hashlib.sha256(package.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def held_out(sizes: Mapping[str, Mapping[str, int]], share: float) -> frozenset[str]:
    """Packages that are held out, by bytes kept of each package in each group.

    Those drawn by their names, and one more for each group of which none was drawn though it has
    several: the package that comes nearest to the share of the group's bytes. A package belongs to
    the group that most of its bytes are in.
    """
    drawn = {package for package in sizes if is_drawn(package, share)}
    members: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for package, by_group in sizes.items():
        if by_group:
            group = max(sorted(by_group), key=lambda name: by_group[name])
            members[group][package] = by_group[group]
    for of_group in members.values():
        if share > 0 and len(of_group) > 1 and drawn.isdisjoint(of_group):
            wanted = share * sum(of_group.values())
            drawn.add(min(sorted(of_group), key=lambda name: abs(of_group[name] - wanted)))
    return frozenset(drawn)


def files_held_out(paths: Sequence[str], share: float) -> set[int]:
    """Which of these files are kept for validation: those whose paths hash lowest.

    So files that come or go change little. Of `LEAST_FILES` or more at least one is kept.
    """
    count = round(share * len(paths))
    if share > 0 and len(paths) >= LEAST_FILES:
        count = max(count, 1)
    by_hash = sorted(range(len(paths)), key=lambda i: hashlib.sha256(paths[i].encode()).digest())
    return set(by_hash[:count])
