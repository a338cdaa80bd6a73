"""Models on disk: one name table, readers and writers of every layout, conversion, description."""

from quipu.checkpoint.checkpoint import Checkpoint
from quipu.checkpoint.conversion import convert
from quipu.checkpoint.footprint import describe
from quipu.checkpoint.opening import open_checkpoint
from quipu.checkpoint.tensors import StoredTensor, TensorSpec, as_float32
from quipu.checkpoint.tokenizer_facts import check_tokenizer

__all__ = [
    "Checkpoint",
    "StoredTensor",
    "TensorSpec",
    "as_float32",
    "check_tokenizer",
    "convert",
    "describe",
    "open_checkpoint",
]
