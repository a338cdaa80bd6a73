// Products of activations with packed weights: gemv for the few rows of decoding, gemm for prefill.
//
// Promise: at one instruction set a row's result is the same bit for bit from gemv and gemm, with
// any other rows beside it and any number of threads. For int8 and int4, avx2 and avx512 agree bit
// for bit too (integer dots are exact and both add groups in order). Portable keeps fp32
// activations and agrees within the rounding of activations.
#pragma once

#include <cstddef>

#include "error.h"
#include "kernels.h"
#include "threads.h"

namespace quipu {

constexpr int32_t gemv_rows = 8;

// Scratch bytes for the prepared form of x [rows, inputs]; the scratch is aligned to 64.
size_t activation_bytes(int32_t rows, int32_t inputs);

// Lays the arrays of x [rows, inputs] out in `scratch`, which must outlive them; computes nothing.
Activations lay_out(const float* x, int32_t rows, int32_t inputs, void* scratch);

// Computes what products with matrices of `format` read; once for all matrices that share x.
Error prepare(const Kernels& kernels, Threads& threads, Format format, const Activations& x);

// y [T, O] = x [T, I] w [O, I]^T of prepared x, T at most gemv_rows.
Error gemv(const Kernels& kernels, Threads& threads, const Matrix& w, const Activations& x,
           float* y);

// The same for any T, in blocks of rows that stay in the second-level cache.
Error gemm(const Kernels& kernels, Threads& threads, const Matrix& w, const Activations& x,
           float* y);

}  // namespace quipu
