// Products of training in fixed point: half as many instructions as fp32 takes, where a processor
// has no bf16 (AVX2, AVX-512 with VNNI).
#pragma once

#include <cstdint>

#include "error.h"
#include "kernels.h"

namespace quipu {

// task.y = a b^T: what kernels.h says of FixedTask, on so many threads. The result is the same for
// any number of them, and on every instruction set.
Error multiply_fixed(const Kernels& kernels, FixedTask task, int threads);

}  // namespace quipu
