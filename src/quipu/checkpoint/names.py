"""The one table of weight names: ours, Hugging Face's, Meta's and GGUF's.

Meta's names are ours, and those of a native file. `split` is the axis along which Meta's
model-parallel shards divide a weight (Llama 2's `ParallelEmbedding` divides the width); norms are
replicated. `rotary` marks weights whose rows Meta and GGUF keep in another order (see rotary.py).
"""

import re
from dataclasses import dataclass
from typing import Literal

Layout = Literal["hf", "meta", "gguf", "native"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One weight in every layout; `{}` stands for the number of the layer."""

    ours: str
    hf: str
    gguf: str
    split: Literal[0, 1] | None
    rotary: Literal["heads", "kv_heads"] | None = None

    @property
    def meta(self) -> str:
        """Meta's name, which is ours."""
        return self.ours


def _block(
    ours: str,
    hf: str,
    gguf: str,
    split: Literal[0, 1] | None,
    rotary: Literal["heads", "kv_heads"] | None = None,
) -> Entry:
    return Entry(
        ours=f"layers.{{}}.{ours}.weight",
        hf=f"model.layers.{{}}.{hf}.weight",
        gguf=f"blk.{{}}.{gguf}.weight",
        split=split,
        rotary=rotary,
    )


TABLE = (
    Entry(
        ours="tok_embeddings.weight",
        hf="model.embed_tokens.weight",
        gguf="token_embd.weight",
        split=1,
    ),
    _block("attention_norm", "input_layernorm", "attn_norm", None),
    _block("attention.wq", "self_attn.q_proj", "attn_q", 0, "heads"),
    _block("attention.wk", "self_attn.k_proj", "attn_k", 0, "kv_heads"),
    _block("attention.wv", "self_attn.v_proj", "attn_v", 0),
    _block("attention.wo", "self_attn.o_proj", "attn_output", 1),
    _block("ffn_norm", "post_attention_layernorm", "ffn_norm", None),
    _block("feed_forward.w1", "mlp.gate_proj", "ffn_gate", 0),
    _block("feed_forward.w2", "mlp.down_proj", "ffn_down", 1),
    _block("feed_forward.w3", "mlp.up_proj", "ffn_up", 0),
    Entry(
        ours="norm.weight",
        hf="model.norm.weight",
        gguf="output_norm.weight",
        split=None,
    ),
    Entry(ours="output.weight", hf="lm_head.weight", gguf="output.weight", split=0),
)

_LAYER = re.compile(r"(?<=\.)\d+(?=\.)")
_BY_OURS = {entry.ours: entry for entry in TABLE}
_BY_THEIRS: dict[Layout, dict[str, Entry]] = {
    "hf": {entry.hf: entry for entry in TABLE},
    "meta": {entry.meta: entry for entry in TABLE},
    "gguf": {entry.gguf: entry for entry in TABLE},
    "native": _BY_OURS,
}


def entry_of(ours: str) -> Entry:
    """The row of the table for one of our names."""
    return _BY_OURS[_LAYER.sub("{}", ours, count=1)]


def name_in(layout: Layout, ours: str) -> str:
    """What a layout calls one of our weights."""
    entry = entry_of(ours)
    theirs = {"hf": entry.hf, "meta": entry.meta, "gguf": entry.gguf, "native": entry.ours}
    return _with_layer(theirs[layout], ours)


def our_name(layout: Layout, theirs: str) -> str | None:
    """What we call a weight of a layout; None if it has no place in a Llama model."""
    entry = _BY_THEIRS[layout].get(_LAYER.sub("{}", theirs, count=1))
    return None if entry is None else _with_layer(entry.ours, theirs)


def _with_layer(template: str, name: str) -> str:
    found = _LAYER.search(name)
    return template.format(found.group()) if found else template
