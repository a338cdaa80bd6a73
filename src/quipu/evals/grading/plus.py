"""EvalPlus's verdict on a function: it must return what the reference returns, for every input.

This module is also the first part of the judging program, so it needs nothing but Python; the
answer runs in another process (`sandbox.apart`). Its values count only if they are of Python's own
types: an object that claims to equal everything equals nothing here. Arrays and their scalars are
taken as lists and numbers.
"""

import copy
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

_ATOMS = (bool, int, float, complex, str, bytes, type(None))
_ROWS = (list, tuple, set, frozenset, deque)
_TABLES = (dict, Counter, OrderedDict, defaultdict)
_FLOATS = 1e-6  # of a reference that returns floats where the data names no tolerance
_RELATIVE = 1e-7
# Problems of MBPP+ whose own statement leaves the answer open.
SETS = {
    "similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum",
    "intersection_array", "find_dissimilar", "Diff",
}  # fmt: skip
FOUND = {"check_str", "text_match_three", "text_starta_endb"}  # a match, or whatever is not None


def check(
    answered: Callable[..., Any], entry: str, inputs: list[Any], reference: str, atol: float
) -> None:
    """Raises AssertionError if the answer's function returns something else than the reference."""
    known: dict[str, Any] = {"__name__": "reference"}
    exec(reference, known)
    expected = [known[entry](*copy.deepcopy(given)) for given in inputs]
    for given, wanted in zip(inputs, expected, strict=True):
        found = answered(*copy.deepcopy(given))
        if entry in FOUND:  # which may return what re gives
            found = found if isinstance(found, bool) else found is not None
            wanted = wanted if isinstance(wanted, bool) else wanted is not None
        found = plain(found)
        assert right(entry, given, found, wanted, atol), f"{entry}{tuple(given)!r:.200}"


def right(entry: str, given: Any, found: Any, wanted: Any, atol: float) -> bool:
    """Whether a value is right, by the problem's own rule if it has one."""
    if entry == "find_zero":  # HumanEval/32: any zero of the polynomial
        return bool(abs(sum(c * math.pow(found, i) for i, c in enumerate(given[0]))) <= atol)
    if entry == "are_equivalent":  # Mbpp/164: its statement says nothing
        return True
    if entry == "sum_div" and found == 0:  # Mbpp/295
        return True
    if entry == "surface_Area" and abs(found - _surface(*given)) <= atol:  # Mbpp/581
        return True
    if entry == "digit_distance_nums" and found == _distance(*given):  # Mbpp/558
        return True
    if entry in SETS:
        return set(found) == set(wanted)
    return same(found, wanted, atol)


def same(found: Any, wanted: Any, atol: float) -> bool:
    """Equal, or as close as the tolerance allows, 1e-6 for floats where there is none."""
    if found == wanted:
        return True
    atol = atol or (_FLOATS if _floats(wanted) else 0)
    return bool(atol) and type(found) is type(wanted) and _close(found, wanted, atol)


def plain(value: Any) -> Any:
    """The value, if it is of Python's own types all through. Raises AssertionError if not."""
    if type(value) in _ATOMS:
        return value
    if type(value) in _ROWS:
        return type(value)(plain(item) for item in value)
    if type(value) in _TABLES:
        for key, item in value.items():
            plain(key), plain(item)
        return dict(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise AssertionError(f"a value of type {type(value).__name__}")


def _floats(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def _close(found: Any, wanted: Any, atol: float) -> bool:
    if isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(
            _close(one, other, atol) for one, other in zip(found, wanted, strict=True)
        )
    if not all(isinstance(value, int | float | complex) for value in (found, wanted)):
        return False
    return bool(found == wanted or abs(found - wanted) <= atol + _RELATIVE * abs(wanted))


def _surface(edge: float, height: float) -> int:
    slant = math.sqrt((edge / 2) ** 2 + height**2)
    return round(edge**2 + 4 * (edge * slant) / 2)


def _distance(one: int, other: int) -> int:
    digits, others = str(one), str(other)
    length = max(len(digits), len(others))
    pairs = zip(digits.zfill(length), others.zfill(length), strict=True)
    return sum(abs(int(a) - int(b)) for a, b in pairs)
