// Kernels for AVX-512 F, BW, VL, DQ, VNNI and BF16. Compiled with flags of its own; includes
// nothing whose inline functions the linker might share with baseline code.
#include <immintrin.h>

#include "dots_avx512.h"

#include "vector_rows.h"

#include "avx512_products.h"

#include "vector_attend.h"

namespace quipu {

extern const Kernels avx512_kernels;
const Kernels avx512_kernels = {Isa::avx512, prepare, multiply, rms_norm, rotate, silu_mul,
                                store, attend, merge, finish, argmax};

}  // namespace quipu
