"""Products of training in fixed point, for processors without bf16 (native/fixed.h).

Of both factors every stretch of 256 numbers that are summed is rounded to integers of up to +-2895
with a scale of its own, and integers are summed exactly: seven times closer than bf16, with half
the instructions of fp32. Masters, sums over stretches, norms, attention and the loss are fp32.
"""

import os
from typing import Any

import torch
from torch import Tensor, nn

from quipu.native import ISA, _runtime


@torch.library.custom_op("quipu::fixed_product", mutates_args=())
def product(a: Tensor, b: Tensor, a_turned: bool, b_turned: bool) -> Tensor:
    """a b^T, [M, N], of a [M, K] and b [N, K], or of what they are when turned, [K, M], [K, N]."""
    out: Tensor = torch.empty(_shape(a, b, a_turned, b_turned), dtype=a.dtype)
    # As they are: FSDP could not free the storage of what has been a numpy array.
    _runtime.multiply_fixed(
        a.detach().contiguous(),
        b.detach().contiguous(),
        out,
        a_turned=a_turned,
        b_turned=b_turned,
        threads=torch.get_num_threads(),
        isa=os.environ.get(ISA, ""),
    )
    return out


@product.register_fake
def _(a: Tensor, b: Tensor, a_turned: bool, b_turned: bool) -> Tensor:
    return a.new_empty(_shape(a, b, a_turned, b_turned))


def _shape(a: Tensor, b: Tensor, a_turned: bool, b_turned: bool) -> tuple[int, int]:
    return a.shape[1 if a_turned else 0], b.shape[1 if b_turned else 0]


@torch.library.custom_op("quipu::fixed_linear", mutates_args=())
def linear(x_TD: Tensor, weight_OD: Tensor) -> Tensor:
    """As `torch.nn.functional.linear`, [T, O], with gradients that are such products, too."""
    out: Tensor = product(x_TD, weight_OD, False, False)
    return out


@linear.register_fake
def _(x_TD: Tensor, weight_OD: Tensor) -> Tensor:
    return x_TD.new_empty((x_TD.shape[0], weight_OD.shape[0]))


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    del output
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, by_TO: Tensor) -> tuple[Tensor | None, Tensor | None]:
    x_TD, weight_OD = ctx.saved_tensors
    x_wanted, weight_wanted = ctx.needs_input_grad
    return (
        product(by_TO, weight_OD, False, True) if x_wanted else None,
        product(by_TO, x_TD, True, True) if weight_wanted else None,
    )


linear.register_autograd(_backward, setup_context=_keep)


class FixedLinear(nn.Linear):
    """A matrix that multiplies in fixed point."""

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = linear(input, self.weight)
        return out


def pays(device: torch.device) -> bool:
    """Whether the native runtime has such products for it; elsewhere they would only cost."""
    isa = os.environ.get(ISA) or _runtime.detected_isa()
    return device.type == "cpu" and isa != "portable"
