"""Quipu: an open implementation of the whole Code Llama system.

    import quipu

    llm = quipu.load()                                   # the embedded model, offline
    llm.complete("def fibonacci(n):\n").text
    llm.infill("def add(a, b):\n    ", "\n    return total\n").text

`load` needs a backend, which is imported when it is first used, so `import quipu` stays light.
"""

from typing import TYPE_CHECKING

from quipu.errors import QuipuError

if TYPE_CHECKING:
    from quipu.llm import LLM, load

__version__ = "0.1.0"
__all__ = ["LLM", "QuipuError", "__version__", "load"]


def __getattr__(name: str) -> object:
    if name in ("LLM", "load"):
        from quipu import llm

        return getattr(llm, name)
    raise AttributeError(f"module 'quipu' has no attribute {name!r}")
