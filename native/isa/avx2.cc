// Kernels for AVX2, FMA and F16C. Compiled with flags of its own; includes nothing whose inline
// functions the linker might share with baseline code. avx_vnni.cc is this file with AVX-VNNI.
#include <immintrin.h>

#include "dots_avx2.h"

#include "avx2_products.h"

#include "vector_rows.h"

#include "vector_attend.h"

#include "vector_learn.h"

#include "vector_fixed.h"

namespace quipu {

#if defined(QUIPU_AVX_VNNI)
#define QUIPU_TABLE avx_vnni_kernels
#else
#define QUIPU_TABLE avx2_kernels
#endif

extern const Kernels QUIPU_TABLE;
const Kernels QUIPU_TABLE = {Isa::avx2, prepare, multiply, rms_norm, rotate, silu_mul,
                             store, attend, merge, finish, argmax, see_document, unsee_document,
                             multiply_fixed};

}  // namespace quipu
