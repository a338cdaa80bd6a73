"""Rounding one matrix to q4_0 so that its products change least on given inputs.

The error of a row w rounded to v is (w - v) H (w - v)^T, where H = X^T X of the calibration inputs
X. With the Cholesky factor H = L L^T it is the square of (w - v) L, and taking columns from the
last to the first, each integer can be chosen to make up for what all before it have lost. That is
GPTQ (arXiv 2210.17323), and Babai's nearest plane, without an inverse.

Matrices are transposed in here, [I, O]: what is done to a column of the weights is then contiguous.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quipu.checkpoint.tensors import StoredTensor, TensorSpec
from quipu.errors import CheckpointError

Floats = npt.NDArray[np.float32]

GROUP = 32  # inputs that share a scale
LOW, HIGH = -8, 7
DAMPING = 0.01  # of the mean of H's diagonal, added to it: inputs that calibration did not see

# Where the largest weight of a group may fall: beyond the ends of the range it is cut off. Both
# ends, because the range is lopsided and a scale may have either sign.
_ENDS: Floats = np.outer([LOW, HIGH], np.linspace(0.9, 1.5, 13)).ravel().astype(np.float32)
_LARGEST = np.float32(65504)  # of fp16
_TINY = np.float32(1e-30)


@dataclass(frozen=True, kw_only=True)
class Rounded:
    """A matrix on the grid of q4_0; both arrays are float32 that hold small numbers exactly."""

    integers_IO: Floats
    scales_GO: Floats

    def values(self) -> Floats:
        """What it stands for, [O, I]."""
        return (self.integers_IO * np.repeat(self.scales_GO, GROUP, axis=0)).T

    def stored(self) -> StoredTensor:
        """The same as blocks of GGUF."""
        inputs, outputs = self.integers_IO.shape
        spec = TensorSpec(dtype="q4_0", shape=(outputs, inputs))
        data = spec.empty()
        blocks = data.reshape(outputs, -1, 2 + GROUP // 2)
        half = np.ascontiguousarray(self.scales_GO.T.astype("<f2"))
        blocks[..., :2] = half.view(np.uint8).reshape(*half.shape, 2)
        nibbles = (self.integers_IO.T - LOW).astype(np.uint8).reshape(outputs, -1, 2, GROUP // 2)
        blocks[..., 2:] = nibbles[:, :, 0] | nibbles[:, :, 1] << 4
        return StoredTensor(dtype=spec.dtype, shape=spec.shape, data=data)


def fit(weights_OI: Floats, hessian_II: Floats) -> Rounded:
    """Round a matrix for inputs with these second moments, which are damped in here.

    Raises CheckpointError for numbers that are not finite.
    """
    if not (np.isfinite(weights_OI).all() and np.isfinite(hessian_II).all()):
        raise CheckpointError(
            "weights or their inputs are not finite numbers",
            remedy="check the source model, or convert with --calibrate none",
        )
    return _nearest_plane(np.ascontiguousarray(weights_OI.T), damped(hessian_II))


def error(lost_OI: Floats, hessian_II: Floats) -> float:
    """What a difference of weights changes in the products, squared and summed."""
    return float(np.einsum("oi,oi->", lost_OI @ hessian_II, lost_OI, dtype=np.float64))


def damped(hessian_II: Floats) -> Floats:
    """H with a bit of the identity, so that it can be factored whatever the inputs were."""
    mean = float(hessian_II.diagonal().mean(dtype=np.float64))
    found = hessian_II.copy()
    found[np.diag_indices_from(found)] += np.float32(DAMPING * mean if mean > 0 else 1)
    return found


def _nearest_plane(weights_IO: Floats, hessian_II: Floats) -> Rounded:
    lower_II = np.linalg.cholesky(hessian_II.astype(np.float64)).astype(np.float32)
    inputs, outputs = weights_IO.shape
    integers_IO = np.empty_like(weights_IO)
    scales_GO = np.empty((inputs // GROUP, outputs), np.float32)
    lost_IO = np.empty_like(weights_IO)
    for group in reversed(list(_groups(inputs))):
        after = slice(group.stop, None)
        # (w - v) L of this group's columns, as far as it is decided
        carried = lower_II[after, group].T @ lost_IO[after]
        triangle = lower_II[group, group]
        inverse = np.linalg.inv(triangle.astype(np.float64)).astype(np.float32)
        wished = weights_IO[group] + inverse.T @ carried
        scale = fit_scales(wished, np.square(triangle.diagonal()))
        scales_GO[group.start // GROUP] = scale
        for column in reversed(range(GROUP)):
            at = group.start + column
            wish = weights_IO[at] + carried[column] / triangle[column, column]
            integers_IO[at] = _integers(wish, scale)
            lost_IO[at] = weights_IO[at] - integers_IO[at] * scale
            carried[:column] += triangle[column, :column, None] * lost_IO[at]
    return Rounded(integers_IO=integers_IO, scales_GO=scales_GO)


def fit_scales(group_IO: Floats, importance_I: Floats) -> Floats:
    """Scale [O] of each column of a group [32, O] that loses least, inputs weighed one by one."""
    outputs = np.arange(group_IO.shape[1])
    extreme: Floats = group_IO[np.abs(group_IO).argmax(axis=0), outputs]
    best = np.zeros(len(outputs), np.float32)
    least = np.full(len(outputs), np.inf, np.float32)
    for end in _ENDS:
        integers = _integers(group_IO, _half(extreme / end))
        along: Floats = importance_I @ (group_IO * integers)
        size: Floats = np.maximum(importance_I @ np.square(integers), _TINY)
        scale = _half(along / size)  # the one that suits these integers best
        loss = importance_I @ np.square(group_IO - integers * scale)
        better = loss < least
        best[better], least[better] = scale[better], loss[better]
    return best


def _integers(values: Floats, scale: Floats) -> Floats:
    divisor = np.where(scale == 0, np.float32(1), scale)
    return np.clip(np.rint(values / divisor), np.float32(LOW), np.float32(HIGH))


def _half(values: Floats) -> Floats:
    """Rounded to what fp16 holds."""
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16).astype(np.float32)


def _groups(inputs: int) -> Iterator[slice]:
    return (slice(start, start + GROUP) for start in range(0, inputs, GROUP))
