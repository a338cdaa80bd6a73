"""How fast training could be: arithmetic a model needs, and what a device can do at most."""

import time

import torch

from quipu.config import ModelConfig
from quipu.counts import flops_per_token
from quipu.model.fixed import pays, product

# Dense peak of half precision, FLOP/s, from the makers' data sheets; the longest name that fits.
PEAKS = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "L4": 121e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
    "B200": 2250e12,
}
PROBE = 512  # rows and columns of the matrices that a processor's peak is measured with
PROBE_S = 0.1
PROBES = 5  # products at least: other work can hold up all that fit into that time


def training_flops(config: ModelConfig, row_tokens: int) -> float:
    """FLOPs of one trained token: forward and twice that backward; on average half a row is seen.

    Attention across documents is counted, recomputed activations are not: model FLOPs.
    """
    return 3.0 * flops_per_token(config, row_tokens // 2)


def peak_flops(device: torch.device, dtype: torch.dtype, *, fixed: bool = False) -> float | None:
    """FLOP/s that the device can do in matrix products at most; None for an unknown one.

    Of a CUDA device by its name, single precision counted as half precision through TF32's half
    rate; of a processor measured, the best of a few products on all its threads, in fixed point if
    that is how it trains.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        known = [peak for part, peak in sorted(PEAKS.items(), key=lambda p: -len(p[0]))
                 if part in name]  # fmt: skip
        if not known:
            return None
        return known[0] if dtype is torch.bfloat16 else known[0] / 2
    fixed = fixed and pays(device)
    matrix = torch.ones(PROBE, PROBE, dtype=dtype)
    taken: list[float] = []
    while len(taken) < PROBES or sum(taken) < PROBE_S:
        began = time.perf_counter()
        if fixed:
            product(matrix, matrix, a_turned=False, b_turned=False)
        else:
            matrix @ matrix
        taken.append(time.perf_counter() - began)
    return 2 * PROBE**3 / min(taken)
