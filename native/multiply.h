// Products of activations with packed weights, for any number of rows.
//
// Promise: at one instruction set a row's result is the same bit for bit with any other rows beside
// it, any other products in the same call and any number of threads. For int8 and int4 avx2, avx512
// and amx agree bit for bit too (integer dots are exact and all add groups in order). Portable
// keeps fp32 activations and agrees within the rounding of activations.
#pragma once

#include <cstddef>

#include "error.h"
#include "kernels.h"
#include "threads.h"

namespace quipu {

constexpr Formats set_of(Format format) { return 1u << static_cast<unsigned>(format); }

// Scratch bytes for the prepared form of x [rows, inputs]; the scratch is aligned to 64.
size_t activation_bytes(int32_t rows, int32_t inputs);

// Lays the arrays of x [rows, inputs] out in `scratch`, which must outlive them; computes nothing.
Activations lay_out(const float* x, int32_t rows, int32_t inputs, void* scratch);

// Computes what products with matrices of these formats read; once for all that share x.
Error prepare(const Kernels& kernels, Threads& threads, Formats formats, const Activations& x);

// Every product [T, O] of the prepared x [T, I], in one parallel loop. Formats may differ.
Error multiply(const Kernels& kernels, Threads& threads, const Activations& x,
               const Product* products, int32_t count);

// y [T, F] = silu(x gate^T) * (x up^T), in one parallel loop.
Error multiply_gated(const Kernels& kernels, Threads& threads, const Activations& x,
                     const Matrix& gate, const Matrix& up, float* y);

// out [count, I] = rows of the matrix as fp32.
Error gather(Threads& threads, const Matrix& w, const int32_t* rows, int32_t count, float* out);

}  // namespace quipu
