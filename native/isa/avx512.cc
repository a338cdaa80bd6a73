// Kernels for AVX-512 F, BW, VL, DQ, VNNI and BF16. Compiled with flags of its own; includes
// nothing whose inline functions the linker might share with baseline code. avx512_vnni.cc is this
// file without BF16.
#include <immintrin.h>

#include "dots_avx512.h"

#include "vector_rows.h"

#include "avx512_products.h"

#include "vector_attend.h"

#include "vector_learn.h"

#include "vector_fixed.h"

namespace quipu {

#if defined(__AVX512BF16__)
#define QUIPU_TABLE avx512_kernels
#else
#define QUIPU_TABLE avx512_vnni_kernels
#endif

extern const Kernels QUIPU_TABLE;
const Kernels QUIPU_TABLE = {Isa::avx512, prepare, multiply, rms_norm, rotate, silu_mul,
                             store, attend, merge, finish, argmax, see_document, unsee_document,
                             multiply_fixed};

}  // namespace quipu
