"""Types of the C++ module; native/binding.cc is its source."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]

def detected_isa() -> str:
    """The best instruction set of this machine: portable, avx2, avx512 or amx."""

def default_threads() -> int:
    """Processors that this process may use, by affinity and control group."""

def attend_documents(
    q_THE: Floats,
    k_TKE: Floats,
    v_TKE: Floats,
    bounds: Integers,
    out_THE: Floats,
    normaliser_TH: Floats,
    *,
    threads: int,
    isa: str,
) -> None:
    """Causal attention of documents packed end to end, for training; fills the last two arrays.

    Document d has tokens [bounds[d], bounds[d + 1]). ValueError for what does not go together, and
    for heads whose size is no multiple of 16.
    """

def attend_documents_backward(
    by_out_THE: Floats,
    q_THE: Floats,
    k_TKE: Floats,
    v_TKE: Floats,
    out_THE: Floats,
    normaliser_TH: Floats,
    bounds: Integers,
    by_q_THE: Floats,
    by_k_TKE: Floats,
    by_v_TKE: Floats,
    *,
    threads: int,
    isa: str,
) -> None:
    """Gradients by queries, keys and values from that by the output; fills the last three."""

def multiply_fixed(
    a: Any,
    b: Any,
    out: Any,
    *,
    a_turned: bool,
    b_turned: bool,
    threads: int,
    isa: str,
) -> None:
    """out = a b^T in fixed point (native/kernels.h, FixedTask); fills `out`.

    Arrays or tensors of fp32, contiguous. `a` is [rows, depth], turned [depth, rows]; so is `b`,
    of the columns.
    """

class Model:
    """Weights, key/value pages and threads. Arrays given to it must not change afterwards."""

    def __init__(
        self,
        *,
        dim: int,
        layers: int,
        heads: int,
        kv_heads: int,
        head_size: int,
        ffn: int,
        vocab: int,
        norm_eps: float,
        frequency: Floats,
        rotary_factor: float,
        kv_format: str,
        page_size: int,
        num_pages: int,
        threads: int,
        isa: str,
    ) -> None:
        """ValueError for an `isa` that cannot be had (empty: the best), MemoryError for no room."""

    @property
    def isa(self) -> str: ...
    @property
    def threads(self) -> int: ...
    def set_matrix(
        self,
        layer: int,
        part: str,
        format: str,
        outputs: int,
        inputs: int,
        values: npt.NDArray[np.uint8],
        scales: npt.NDArray[np.uint16] | None,
    ) -> None:
        """A packed matrix (docs/formats.md), borrowed. `layer` -1: embedding, output."""

    def set_vector(self, layer: int, part: str, values: Floats) -> None:
        """A norm's weights, borrowed. `layer` -1: the last norm."""

    def step(
        self,
        tokens_T: Integers,
        positions_T: Integers,
        starts_S1: Integers,
        contexts_S: Integers,
        pages_SP: Integers,
        select_N: Integers,
        choices: int,
        logits_NV: Floats,
        best_N: Integers,
    ) -> None:
        """One step of engine/batch.py; fills the last two. Releases the GIL."""

    def embed(self, tokens_T: Integers, x_TD: Floats) -> None:
        """Embeddings of tokens, for a quantiser."""

    def layer(
        self,
        index: int,
        x_TD: Floats,
        attention_TD: Floats,
        output_TQ: Floats,
        gate_TD: Floats,
        down_TF: Floats,
    ) -> None:
        """One layer on a sequence from position 0; x in place, the rest is what it multiplied."""
