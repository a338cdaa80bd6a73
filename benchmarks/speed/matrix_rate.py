"""Best matrix rate that PyTorch's oneDNN reaches: matrix_rate.py THREADS prints a JSON object.

Runs in the peers' environment. An operation is a multiplication or an addition.
"""

import json
import sys
import time
from collections.abc import Callable

import torch

SIZES = (512, 1024, 2048, 4096)
RUNS = 12
# A format for which the processor has no instructions can be a hundred times slower.
ENOUGH_S = 4.0


def best_s(multiply: Callable[[], object]) -> float:
    """Shortest of several runs: what is sought is a limit."""
    times: list[float] = []
    while len(times) <= RUNS and sum(times) < ENOUGH_S:
        begin = time.perf_counter()
        multiply()
        times.append(time.perf_counter() - begin)
    return min(times)


def gop_per_s(size: int, dtype: torch.dtype) -> float:
    """Of the product [512, size] x [size, size], the shape of a prefill."""
    x, w = torch.ones(512, size, dtype=dtype), torch.ones(size, size, dtype=dtype)
    multiply = torch._int_mm if dtype == torch.int8 else torch.mm
    return 2 * 512 * size * size / best_s(lambda: multiply(x, w)) / 1e9


def greatest(dtype: torch.dtype) -> float:
    """Over the sizes, as long as they do not take too long."""
    begin = time.perf_counter()
    rates = []
    for size in SIZES:
        rates.append(gop_per_s(size, dtype))
        if time.perf_counter() - begin > ENOUGH_S:
            break
    return max(rates)


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
    print(json.dumps({name: greatest(dtype) for name, dtype in kinds.items()}))


if __name__ == "__main__":
    main()
