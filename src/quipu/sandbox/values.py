"""Values as they pass between a program and its tests: built anew on the other side.

What is of Python's own types, or a plain value of its library, comes out equal to what went in; a
subclass comes out as its base, for what it claims about itself does not travel. Anything else stays
where it is and goes by a number. What is packed is made of lists, texts and numbers, so that
`repr` writes it and `ast.literal_eval` reads it.

This text is also the first part of the program that answers (`answering`). It imports nothing: json
and typing would take longer than all else that such an interpreter does.
"""

import builtins
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BUILTIN_TYPES = {name: kind for name, kind in vars(builtins).items() if isinstance(kind, type)}
_SHORT = 2**63  # longer ones are written in hexadecimal, which takes no square of their length
_WHEN = ("year", "month", "day", "hour", "minute", "second", "microsecond")
# Types of the library, with the arguments that make their values anew.
_LIBRARY: "dict[str, Callable[[Any], list[Any]]]" = {
    "collections.Counter": lambda value: [dict(value)],
    "collections.OrderedDict": lambda value: [list(value.items())],
    "collections.deque": lambda value: [list(value), value.maxlen],
    "decimal.Decimal": lambda value: [str(value)],
    "fractions.Fraction": lambda value: [value.numerator, value.denominator],
    "array.array": lambda value: [value.typecode, list(value)],
    "datetime.date": lambda value: [getattr(value, name) for name in _WHEN[:3]],
    "datetime.datetime": lambda value: [getattr(value, name) for name in _WHEN],
    "datetime.time": lambda value: [getattr(value, name) for name in _WHEN[3:]],
    "datetime.timedelta": lambda value: [value.days, value.seconds, value.microseconds],
}
_VIEWS = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}
_SEQUENCES: "tuple[Any, ...]" = (list, tuple, set, frozenset)


def pack(value: "Any", keep: "Callable[[Any], int]") -> "Any":
    """A value of lists, texts and numbers; `keep(value)` is the number of one that stays."""
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    place = f"{kind.__module__}.{kind.__name__}"
    if place in _LIBRARY and getattr(value, "tzinfo", None) is None:
        return [place, [pack(item, keep) for item in _LIBRARY[place](value)]]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        number = int.__pos__(value)
        return number if -_SHORT < number < _SHORT else ["int", hex(number)]
    if isinstance(value, float):
        real = float.__pos__(value)
        return real if real - real == 0 else ["float", repr(real)]
    if isinstance(value, complex):
        return ["complex", pack(value.real, keep), pack(value.imag, keep)]
    if isinstance(value, bytes | bytearray):
        name = "bytes" if isinstance(value, bytes) else "bytearray"
        return [name, bytes(value).decode("latin-1")]
    return _pack_many(value, keep)


def _pack_many(value: "Any", keep: "Callable[[Any], int]") -> "Any":
    if isinstance(value, range):
        return ["range", value.start, value.stop, value.step]
    for base in _SEQUENCES:
        if isinstance(value, base):
            return [base.__name__, [pack(item, keep) for item in base.__iter__(value)]]
    view = _VIEWS.get(type(value), "")
    if isinstance(value, dict) or view == "items":
        items = dict.items(value) if isinstance(value, dict) else value
        pairs = [[pack(name, keep), pack(item, keep)] for name, item in items]
        return [view or "dict", pairs]
    if view:
        return [view, [pack(item, keep) for item in value]]
    if isinstance(value, type):
        for name, kind in _BUILTIN_TYPES.items():
            if kind is value:
                return ["type", name]
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return pack(value.tolist(), keep)
    return ["far", keep(value)]


def unpack(packed: "Any", far: "Callable[[int], Any]") -> "Any":
    """The value; `far(number)` is what stands for one that stayed.

    Raises some exception for what `pack` does not write.
    """
    if not isinstance(packed, list):
        return packed
    name, *rest = packed
    if name == "far":
        return far(rest[0])
    if name == "int":
        return int(rest[0], 16)
    if name == "float":
        return float(rest[0])
    if name in ("complex", "range"):
        return getattr(builtins, name)(*(unpack(item, far) for item in rest))
    if name in ("bytes", "bytearray"):
        return getattr(builtins, name)(rest[0].encode("latin-1"))
    if name == "type":
        return _BUILTIN_TYPES[rest[0]]
    if name in ("dict", "items"):
        table = {unpack(key, far): unpack(item, far) for key, item in rest[0]}
        return table if name == "dict" else table.items()
    items = [unpack(item, far) for item in rest[0]]
    if name == "keys":
        return dict.fromkeys(items).keys()
    if name == "values":
        return dict(enumerate(items)).values()
    for base in _SEQUENCES:
        if name == base.__name__:
            return base(items)
    if name not in _LIBRARY:
        raise ValueError("no such value")
    module, _, kind = name.partition(".")
    __import__(module)
    return getattr(sys.modules[module], kind)(*items)
