"""The PyTorch model over paged keys and values, on a CPU or a CUDA device."""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quipu.config import ModelConfig
from quipu.engine.batch import Batch
from quipu.engine.runner import StepResult
from quipu.errors import BackendError, UsageError
from quipu.model.attend import AttendLayer
from quipu.model.rope import frequencies
from quipu.model.transformer import Transformer

PAGE_SIZE = 16  # tokens; the grain of prefix reuse
CONTEXTS = 4  # full contexts that the default number of pages holds, memory permitting
CPU_KEY_VALUE_BYTES = 2 << 30  # default bound on pages in main memory
CUDA_SHARE = 0.8  # default bound on pages, of what is free once the weights are loaded

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Pool(NamedTuple):
    """Keys and values of one layer, [P, page_size, K, E] each."""

    k: Tensor
    v: Tensor


class _Prefill(NamedTuple):
    """A sequence that brings several tokens: its rows, slots of its whole context, and the mask."""

    rows: slice
    slots_C: Tensor
    mask_TC: Tensor | None  # None: the chunk starts the sequence, plain causal


class _Decodes(NamedTuple):
    """Sequences of similar length that bring one token each."""

    rows_S: Tensor
    slots_SC: Tensor  # of the whole context, filled up with slot 0
    mask_SC: Tensor


class Paged:
    """Attention of one batch over the pages: stores its keys and values, sees each context."""

    def __init__(self, batch: Batch, pools: list[Pool]) -> None:
        self._pools = pools
        self._page_size = pools[0].k.shape[1]
        self._device = pools[0].k.device
        counts_S = np.diff(batch.starts_S1)
        owner_T = np.repeat(np.arange(counts_S.size), counts_S)
        self._slots_T = self._tensor(self._slots(batch.pages_SP[owner_T], batch.positions_T))
        self._prefills = [
            self._prefill(batch, sequence) for sequence in np.flatnonzero(counts_S > 1).tolist()
        ]
        self._decodes = [
            self._decode(batch, sequences)
            for sequences in _by_length(np.flatnonzero(counts_S == 1), batch.contexts_S)
        ]

    def at(self, layer: int) -> AttendLayer:
        stored_k, stored_v = (part.flatten(0, 1) for part in self._pools[layer])  # by slot

        def attend(q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor) -> Tensor:
            stored_k.index_copy_(0, self._slots_T, k_TKE)
            stored_v.index_copy_(0, self._slots_T, v_TKE)
            out_THE = torch.empty_like(q_THE)
            for part in self._prefills:
                k_CKE, v_CKE = stored_k[part.slots_C], stored_v[part.slots_C]
                out_THE[part.rows] = _attend_chunk(q_THE[part.rows], k_CKE, v_CKE, part.mask_TC)
            for group in self._decodes:
                k_SCKE, v_SCKE = stored_k[group.slots_SC], stored_v[group.slots_SC]
                out_THE[group.rows_S] = _attend_single(
                    q_THE[group.rows_S], k_SCKE, v_SCKE, group.mask_SC
                )
            return out_THE

        return attend

    def _slots(
        self, pages_TP: npt.NDArray[np.int32], positions_T: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.int64]:
        """Slot (page x page_size + offset) of each position in the pages of its row."""
        page_T = np.take_along_axis(pages_TP, positions_T[:, None] // self._page_size, axis=1)
        return page_T[:, 0].astype(np.int64) * self._page_size + positions_T % self._page_size

    def _tensor(self, array: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    def _context_slots(self, pages_P: npt.NDArray[np.int32], length: int) -> npt.NDArray[np.int64]:
        first_P = pages_P[: -(-length // self._page_size)].astype(np.int64) * self._page_size
        return (first_P[:, None] + np.arange(self._page_size)).ravel()[:length]

    def _prefill(self, batch: Batch, sequence: int) -> _Prefill:
        start, end = int(batch.starts_S1[sequence]), int(batch.starts_S1[sequence + 1])
        context = int(batch.contexts_S[sequence])
        slots_C = self._context_slots(batch.pages_SP[sequence], context)
        mask_TC = None
        if context > end - start:
            seen = np.arange(context)[None, :] <= batch.positions_T[start:end, None]
            mask_TC = self._tensor(seen)
        return _Prefill(slice(start, end), self._tensor(slots_C), mask_TC)

    def _decode(self, batch: Batch, sequences: npt.NDArray[np.intp]) -> _Decodes:
        contexts_S = batch.contexts_S[sequences]
        longest = int(contexts_S.max())
        mask_SC = np.arange(longest)[None, :] < contexts_S[:, None]
        slots_SC = np.zeros(mask_SC.shape, dtype=np.int64)
        for row, sequence in enumerate(sequences):
            length = int(contexts_S[row])
            slots_SC[row, :length] = self._context_slots(batch.pages_SP[sequence], length)
        rows_S = batch.starts_S1[sequences].astype(np.int64)
        return _Decodes(self._tensor(rows_S), self._tensor(slots_SC), self._tensor(mask_SC))


def _by_length(
    sequences: npt.NDArray[np.intp], contexts_S: npt.NDArray[np.int32]
) -> list[npt.NDArray[np.intp]]:
    """Group sequences so that padding to the longest of a group at most doubles the work."""
    groups: dict[int, list[int]] = defaultdict(list)
    for sequence in sequences.tolist():
        groups[int(contexts_S[sequence]).bit_length()].append(sequence)
    return [np.array(group, dtype=np.intp) for group in groups.values()]


def _attend_chunk(q_THE: Tensor, k_CKE: Tensor, v_CKE: Tensor, mask_TC: Tensor | None) -> Tensor:
    """Causal attention of one sequence's newest T tokens over its C tokens, softmax in fp32."""
    out_HTE = F.scaled_dot_product_attention(
        q_THE.transpose(0, 1)[None],
        k_CKE.transpose(0, 1)[None],
        v_CKE.transpose(0, 1)[None],
        attn_mask=mask_TC,
        is_causal=mask_TC is None,
        enable_gqa=q_THE.shape[1] != k_CKE.shape[1],
    )
    return out_HTE[0].transpose(0, 1)


def _attend_single(q_SHE: Tensor, k_SCKE: Tensor, v_SCKE: Tensor, mask_SC: Tensor) -> Tensor:
    """Attention of one token of each sequence over its context, softmax in fp32.

    The query heads that share a key head stand where a chunk has its tokens, so that keys and
    values are not repeated.
    """
    q_SKGE = q_SHE.view(q_SHE.shape[0], k_SCKE.shape[2], -1, q_SHE.shape[2])
    out_SKGE = F.scaled_dot_product_attention(
        q_SKGE, k_SCKE.transpose(1, 2), v_SCKE.transpose(1, 2), attn_mask=mask_SC[:, None, None]
    )
    return out_SKGE.flatten(1, 2)


class TorchRunner:
    """Weights and pages in PyTorch. Implements `engine.runner.Runner`."""

    def __init__(
        self,
        config: ModelConfig,
        read: Callable[[str], npt.NDArray[np.float32]],
        *,
        device: str | None = None,
        dtype: str | None = None,
        num_pages: int | None = None,
        page_size: int = PAGE_SIZE,
        key_value_bytes: int | None = None,
    ) -> None:
        """Load weights through `read`, which gives a float32 array for each of our names.

        `device` None is CUDA when there is one, else the CPU; `dtype` None is bfloat16 on CUDA,
        float32 on the CPU. Without `num_pages` there are pages for 4 full contexts, but no more
        than `key_value_bytes` hold: by default 2 GiB on the CPU, 80 % of what is free on CUDA.
        """
        self.device = _device(device)
        self.dtype = _dtype(dtype, self.device)
        self._page_size = page_size
        try:
            self._model = _load(config, read, self.device, self.dtype)
            if num_pages is None:
                num_pages = self._default_pages(config, key_value_bytes)
            self._pools = [self._pool(config, num_pages) for _ in range(config.layers)]
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            raise BackendError(
                f"the model and its keys and values do not fit the memory of {self.device}",
                got=error,
                remedy="use a smaller model, or dtype bfloat16",
            ) from error

    @property
    def num_pages(self) -> int:
        return self._pools[0].k.shape[0]

    @property
    def page_size(self) -> int:
        return self._page_size

    @property
    def batch_invariant(self) -> bool:
        return False  # which kernel multiplies depends on the number of rows

    @torch.inference_mode()
    def step(self, batch: Batch) -> StepResult:
        """Run the model on one batch; see `Batch` for the layout."""
        logits_NV = self._model(
            torch.from_numpy(batch.tokens_T).to(self.device),
            torch.from_numpy(batch.positions_T).to(self.device),
            Paged(batch, self._pools),
            torch.from_numpy(batch.select_N).to(self.device),
        )
        return StepResult(logits_NV=logits_NV.cpu().numpy())

    def _pool(self, config: ModelConfig, num_pages: int) -> Pool:
        shape = (num_pages, self._page_size, config.kv_heads, config.head_size)
        # Zeros, not empty: a masked value still meets its weight 0, and 0 x NaN is NaN.
        k, v = (torch.zeros(shape, dtype=self.dtype, device=self.device) for _ in range(2))
        return Pool(k, v)

    def _default_pages(self, config: ModelConfig, key_value_bytes: int | None) -> int:
        if key_value_bytes is None:
            key_value_bytes = CPU_KEY_VALUE_BYTES
            if self.device.type == "cuda":
                key_value_bytes = int(CUDA_SHARE * torch.cuda.mem_get_info(self.device)[0])
        token = 2 * config.layers * config.kv_heads * config.head_size * self.dtype.itemsize
        fitting = key_value_bytes // (token * self._page_size)
        if fitting < 1:
            raise BackendError(
                "no memory for keys and values",
                got=f"{key_value_bytes} bytes",
                allowed=f"{token * self._page_size} or more, {token} a token",
                remedy="free memory, use a smaller dtype, or a smaller model",
            )
        return min(fitting, -(-CONTEXTS * config.context // self._page_size))


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch has a class of its own for a GPU; on a CPU the text alone tells.
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "can't allocate memory" in str(error)


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UsageError("device", got=name, allowed="cpu, cuda, cuda:0, cuda:1, …")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BackendError(
            f"device {name} is not here",
            got=f"{torch.cuda.device_count()} CUDA devices",
            remedy="use device cpu, or install a PyTorch built for your GPU",
        )
    return device


def _dtype(name: str | None, device: torch.device) -> torch.dtype:
    if name is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise UsageError("dtype", got=name, allowed=", ".join(DTYPES))
    return DTYPES[name]


def _load(
    config: ModelConfig,
    read: Callable[[str], npt.NDArray[np.float32]],
    device: torch.device,
    dtype: torch.dtype,
) -> Transformer:
    """The model with its weights, one tensor at a time, so that float32 copies never pile up."""
    with torch.device("meta"):
        model = Transformer(config)
    # Rotary angles are computed, not loaded: they must not stay on the device of no memory.
    model.rope_frequency, model.rope_factor = frequencies(config)
    weights = {}
    for name, parameter in model.named_parameters():
        array = read(name)
        assert array.shape == tuple(parameter.shape), f"{name}: {array.shape}"
        # A copy, because what is read may be a read-only map of a file.
        tensor = torch.from_numpy(np.array(array, dtype=np.float32)).to(device, dtype)
        weights[name] = nn.Parameter(tensor, requires_grad=False)
    model.load_state_dict(weights, assign=True)
    return model.eval()
