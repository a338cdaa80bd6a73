"""Classes of the standard library that plain programs cannot change for those that come after.

Classes written in C are immutable; those written in Python get the same flag of their type object
(Py_TPFLAGS_IMMUTABLETYPE, CPython 3.10).
"""

import ctypes
from types import ModuleType

from quipu.sandbox.plain import offered

_IMMUTABLE = 1 << 8
_FLAGS_AT = 168  # tp_flags in PyTypeObject, 64 bits; `can_freeze` checks it


def freeze(module: ModuleType) -> None:
    """Freeze the classes that a program can have of a module, and theirs in turn."""
    for name in offered(module.__name__):
        value = getattr(module, name)
        # An alias of typing passes on what is assigned to it to the class that it stands for.
        found = value if isinstance(value, type) else getattr(value, "__origin__", None)
        for one in found.__mro__ if isinstance(found, type) else ():
            if not one.__flags__ & _IMMUTABLE:
                _flags(one).value |= _IMMUTABLE


def can_freeze() -> bool:
    """Whether this interpreter's classes can be frozen; programs must not share one otherwise."""

    class Tried:
        pass

    if ctypes.sizeof(ctypes.c_void_p) != 8 or _flags(Tried).value != Tried.__flags__:
        return False
    _flags(Tried).value |= _IMMUTABLE
    try:
        Tried.changed = 1  # type: ignore[attr-defined]
    except TypeError:
        return True
    return False


def _flags(one: type) -> ctypes.c_ulong:
    return ctypes.c_ulong.from_address(id(one) + _FLAGS_AT)
