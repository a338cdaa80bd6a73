// Operations on rows of activations: norm, rotary angles and rotation, gate, greedy choice.
#pragma once

#include "error.h"
#include "kernels.h"
#include "threads.h"

namespace quipu {

// y [T, D] = x / sqrt(mean(x^2) + eps) * weight [D], all fp32; y may be x.
Error rms_norm(const Kernels& kernels, Threads& threads, const float* x, const float* weight,
               float eps, int32_t rows, int32_t width, float* y);

// cos and sin [T, half] of position * frequency [half], times factor: fp32 throughout, in the order
// of model/rope.py. Never narrower: at theta 1e6 lower precision loses the position.
Error rotary_angles(Threads& threads, const int32_t* positions, int32_t rows,
                    const float* frequency, int32_t half, float factor, float* cos, float* sin);

// x [T, H, E] in place, rows x_stride numbers apart, pairs (e, e + E / 2); cos, sin [T, E / 2].
Error rotate(const Kernels& kernels, Threads& threads, float* x, int32_t x_stride,
             const float* cos, const float* sin, int32_t rows, int32_t heads, int32_t head_size);

// out [T, F] = silu(gate) * up; out may be either.
Error silu_mul(const Kernels& kernels, Threads& threads, const float* gate, const float* up,
               int32_t rows, int32_t width, float* out);

// best [T] = index of the first largest of each row of x [T, V].
Error argmax(const Kernels& kernels, Threads& threads, const float* x, int32_t rows, int32_t width,
             int32_t* best);

}  // namespace quipu
