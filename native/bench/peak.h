// Multiplications and additions per loop of independent dot-product instructions.
#pragma once

#include <cstdint>

namespace quipu {

inline volatile int peak_sink;

// Each computes for `rounds` rounds and returns how many operations that were.
int64_t peak_int8(int64_t rounds);
int64_t peak_bf16(int64_t rounds);
int64_t peak_fp32(int64_t rounds);

}  // namespace quipu
